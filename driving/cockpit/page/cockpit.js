// @ts-check
/** The cockpit: one socket to drive.py, what it says shown, what a person does sent. */

import { StripChart } from "./chart.js";
import { Hands, TURN_OF_KEY } from "./hands.js";
import {
  hasEnded,
  isStale,
  showBanner,
  showEnd,
  showFigures,
  showGauges,
  showWheel,
} from "./panel.js";
import { copyOnClick, element } from "./parts.js";
import { Playback } from "./playback.js";
import { drawWheel } from "./wheel.js";

/** @typedef {import("./panel.js").State} State */
/** @typedef {import("./panel.js").Link} Link */

const RECONNECT_MS = 700;
const SILENT_MS = 3000; // between pictures of a simulator that drives
const FIGURES_MS = 200; // between two looks at numbers that a person can still read
const CAMERA = 1; // first byte of a binary message: what its picture is
const HEAT = 2;
const STEER_BY_HOLDING = ["Hold to steer left", "Hold to steer right"];
const BACK_AND_ON = ["A second back", "A second on"];

/** @type {WebSocket | null} */
let socket = null;
/** @type {Link} */
let link = "connecting";
/** @type {State | null} */
let state = null;
let pictureMs = 0;
let figuresMs = 0;
let wantsHeat = false;

const chart = new StripChart(/** @type {HTMLCanvasElement} */ (element("chart")));
const slider = /** @type {HTMLInputElement} */ (element("target-speed"));
const dialog = /** @type {HTMLDialogElement} */ (element("end-dialog"));

// --- To the server -------------------------------------------------------------------

/** @param {Record<string, unknown>} message */
function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function toggleStop() {
  send({ type: state?.driver === "stop" ? "go" : "stop" });
}

/** @param {number} mph */
function setTarget(mph) {
  if (slider.disabled) return;
  slider.value = String(mph);
  element("target-value").textContent = `${slider.value} mph`;
  send({ type: "speed", mph: Number(slider.value) });
}

/** @param {boolean} isWanted */
function setHeat(isWanted) {
  wantsHeat = isWanted;
  element("heat-map").setAttribute("aria-pressed", String(isWanted));
  if (!isWanted) clear("heat");
  send({ type: "heat_map", on: isWanted });
}

function toggleKeep() {
  hands.keep(!hands.keeps);
  showKeep();
}

function showKeep() {
  element("keep").setAttribute("aria-pressed", String(hands.keeps));
}

function letGo() {
  hands.letGo();
  showKeep();
}

const playback = new Playback(send);
const hands = new Hands({
  current: () => state?.steering ?? 0,
  steer: (steering) => {
    if (!state?.playing) send({ type: "steer", steering });
  },
  release: () => send({ type: "release" }),
  toggleStop,
});

// --- From the server -----------------------------------------------------------------

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/cockpit${location.search}`);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => {
    link = "open";
    if (wantsHeat) send({ type: "heat_map", on: true });
  });
  socket.addEventListener("message", ({ data }) => {
    if (typeof data === "string") takeState(JSON.parse(data));
    else takePicture(new Uint8Array(data));
  });
  socket.addEventListener("close", () => {
    letGo();
    link = state ? "lost" : "connecting";
    if (!hasEnded(state)) setTimeout(connect, RECONNECT_MS);
  });
}

/** @param {State} news */
function takeState(news) {
  // A car that begins to drive has sent no picture yet.
  if (news.simulator !== state?.simulator) pictureMs = performance.now();
  const isHeld = state?.driver === "stop" && news.driver === "stop";
  // At the end of the run its simulator may go first: what was heard of it last counts.
  const hasGone = news.is_ending && news.simulator === "waiting";
  const { simulator, speed_mph } = (hasGone && state) || news;
  state = { ...news, simulator, speed_mph };
  if (hasEnded(news)) showEnd(news);
  if (news.playing && !playback.take(news.playing)) chart.interrupt();
  else if (news.playing && isHeld) return;
  if (news.model_steering === null || news.speed_mph === null) return;
  chart.add({
    atMs: performance.now(),
    model: news.model_steering,
    person: news.person_steering,
    mph: news.speed_mph,
    targetMph: news.planned_speed_mph ?? (news.playing ? null : news.target_speed_mph),
  });
}

/**
 * Kinds of pictures that are being decoded, each with the newest that came meanwhile.
 *
 * @type {Map<number, Uint8Array<ArrayBuffer> | null>}
 */
const decoding = new Map();

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function takePicture(bytes) {
  const kind = bytes[0];
  if (kind === CAMERA) pictureMs = performance.now();
  if (document.hidden) return;
  if (decoding.has(kind)) {
    decoding.set(kind, bytes);
    return;
  }
  for (let next = /** @type {typeof bytes | null} */ (bytes); next; ) {
    decoding.set(kind, null);
    await show(kind, next.subarray(1));
    next = decoding.get(kind) ?? null;
  }
  decoding.delete(kind);
}

/** @param {number} kind @param {Uint8Array<ArrayBuffer>} content of a JPEG or PNG */
async function show(kind, content) {
  try {
    const picture = await createImageBitmap(new Blob([content]));
    if (kind === CAMERA) paint("camera", picture);
    if (kind === HEAT && wantsHeat) {
      paint("heat", picture);
      element("heat-wait").hidden = true;
      element("heat-scale").hidden = false;
    }
    picture.close();
  } catch {
    // The server counts what cannot be decoded; the last picture stays.
  }
}

/** @param {string} id of a canvas @returns {CanvasRenderingContext2D} */
function pen(id) {
  const canvas = /** @type {HTMLCanvasElement} */ (element(id));
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/** @param {string} id */
function clear(id) {
  const context = pen(id);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
}

/** @param {string} id @param {ImageBitmap} picture */
function paint(id, picture) {
  const context = pen(id);
  clear(id);
  context.drawImage(picture, 0, 0, context.canvas.width, context.canvas.height);
  element("no-picture").hidden = true;
}

// --- The screen ----------------------------------------------------------------------

/** @param {number} nowMs */
function refresh(nowMs) {
  const isSilent = state?.simulator === "driving" && nowMs - pictureMs > SILENT_MS;
  const isNews = showBanner(link, state, isSilent);
  if (state) {
    const car = isStale(link, state, isSilent) ? null : state;
    showWheel(car, hands.isSteering && car?.may_steer ? hands.steering : null);
    // No number of before stands beside a banner that is new.
    if (isNews || nowMs - figuresMs > FIGURES_MS) {
      figuresMs = nowMs;
      showGauges(car, state);
      showFigures(state);
      showControls(state);
      chart.draw(nowMs);
    }
  }
  requestAnimationFrame(refresh);
}

/** @param {State} now */
function showControls(now) {
  const isStopped = now.driver === "stop";
  const [stop, go] = now.playing ? ["Pause", "Play"] : ["Stop", "Go"];
  element("stop").classList.toggle("go", isStopped);
  element("stop-word").textContent = isStopped ? go : stop;
  if (document.activeElement !== slider) {
    slider.value = String(now.target_speed_mph);
    element("target-value").textContent = `${now.target_speed_mph.toFixed(0)} mph`;
  }
  for (const button of element("controls").querySelectorAll("button")) {
    button.disabled = link !== "open" || hasEnded(now);
  }
  const heat = /** @type {HTMLButtonElement} */ (element("heat-map"));
  heat.disabled ||= !now.can_heat_map;
  heat.title = now.can_heat_map ? "" : "There is none of this model";
  element("heat-legend").hidden = !(wantsHeat && now.heat_map);
  slider.disabled = link !== "open" || hasEnded(now) || now.playing !== null;
  const [left, right] = now.playing ? BACK_AND_ON : STEER_BY_HOLDING;
  element("left").ariaLabel = left;
  element("right").ariaLabel = right;
  if (now.playing) playback.show(now.playing, link === "open");
}

// --- Keys and buttons ----------------------------------------------------------------

/** @type {Record<string, () => void>} */
const KEYS = {
  Space: toggleStop,
  ArrowUp: () => setTarget(Number(slider.value) + 1),
  ArrowDown: () => setTarget(Number(slider.value) - 1),
  KeyH: () => setHeat(!wantsHeat),
  KeyE: askEnd,
  Escape: letGo,
};

function askEnd() {
  letGo();
  if (link !== "open" || hasEnded(state)) return;
  dialog.returnValue = "";
  dialog.showModal();
}

/** Whether keys are those of any page: a question is open, or the run has ended. */
function isPlain() {
  return dialog.open || hasEnded(state);
}

addEventListener("keydown", (event) => {
  if (isPlain() || event.ctrlKey || event.altKey || event.metaKey) return;
  const { code, repeat } = event;
  if (state?.playing && playback.key(code, event.shiftKey)) {
    event.preventDefault();
    return;
  }
  // Space stops whatever has the focus, arrows steer even from the slider.
  if (code in KEYS || code in TURN_OF_KEY) event.preventDefault();
  // A key that was let go by Esc does not take the wheel again by repeating itself.
  if (!repeat && !state?.playing) hands.key(code, true);
  showKeep();
  if (!repeat || code === "ArrowUp" || code === "ArrowDown") KEYS[code]?.();
});
addEventListener("keyup", (event) => {
  hands.key(event.code, false);
  showKeep();
  // A button that has the focus would be pressed by the end of Space.
  if (event.code === "Space" && !isPlain()) event.preventDefault();
});
addEventListener("blur", letGo);
addEventListener("pagehide", letGo);
document.addEventListener("visibilitychange", letGo);

hands.dragOn(element("view"));
hands.dragOn(element("wheel"));
hands.holdOn(element("left"), "ArrowLeft");
hands.holdOn(element("right"), "ArrowRight");
hands.watchGamepads();

for (const [id, code] of [
  ["left", "ArrowLeft"],
  ["right", "ArrowRight"],
]) {
  element(id).addEventListener("click", () => {
    if (state?.playing) playback.key(code, false);
  });
}
element("stop").addEventListener("click", toggleStop);
element("keep").addEventListener("click", toggleKeep);
element("heat-map").addEventListener("click", () => setHeat(!wantsHeat));
element("end").addEventListener("click", askEnd);
slider.addEventListener("input", () => setTarget(Number(slider.value)));
dialog.addEventListener("close", () => {
  if (dialog.returnValue === "end") send({ type: "end" });
});
copyOnClick(element("copy"), element("command"));

drawWheel(element("wheel"), ["model", "person"]);
connect();
requestAnimationFrame(refresh);
