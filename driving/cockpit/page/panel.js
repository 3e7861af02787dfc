// @ts-check
/** Shows a state of the drive on the page: banner, wheel, gauges, figures. */

import { clock, element, signed, write } from "./parts.js";
import { turnMark, turnWheel } from "./wheel.js";

/**
 * What the server says with each frame; docs/protocol.md has the units.
 *
 * @typedef {object} State
 * @property {string} model that steers
 * @property {"waiting" | "driving" | "manual" | "playing"} simulator
 * @property {string} track as the simulator calls it, "" where it does not
 * @property {"model" | "person" | "stop"} driver
 * @property {number | null} steering that was sent, -1 to 1, + is right
 * @property {number | null} model_steering
 * @property {number | null} person_steering
 * @property {number | null} throttle -1 to 1, below 0 brakes
 * @property {number | null} speed_mph
 * @property {number} target_speed_mph
 * @property {number | null} planned_speed_mph null where one speed is held
 * @property {number} frames_per_s
 * @property {{p50: number, p99: number} | null} latency_ms
 * @property {number} unusable
 * @property {number} faults
 * @property {number} dropped
 * @property {number | null} autonomy_percent
 * @property {number} interventions
 * @property {number} distance_m
 * @property {number} elapsed_s
 * @property {Playing | null} playing
 * @property {"watching" | "steering"} you
 * @property {boolean} may_steer
 * @property {boolean} heat_map
 * @property {boolean} can_heat_map
 * @property {{folder: string | null, frames: number}} corrections
 * @property {string | null} recording
 * @property {boolean} is_ending
 * @property {string | null} command
 * @property {string} message
 */

/**
 * @typedef {object} Playing
 * @property {string} recording
 * @property {number} row of its log
 * @property {number} at_s
 * @property {number} length_s
 */

/** @typedef {"connecting" | "open" | "lost"} Link */

const MOST_MPH = 30;
const STANDING_MPH = 1;
const UNKNOWN = "–";

/** Whether a run has come to its end. @param {State | null} state */
export function hasEnded(state) {
  return state !== null && state.command !== null;
}

/**
 * Say who drives, and what to do next; nothing that the page cannot know.
 *
 * @param {Link} link
 * @param {State | null} state the last that came
 * @param {boolean} isSilent whether a driving simulator has sent nothing for seconds
 * @returns {{kind: string, title: string, hint: string}}
 */
export function bannerOf(link, state, isSilent) {
  /** @param {string} kind @param {string} title @param {string} hint */
  const say = (kind, title, hint) => ({ kind, title, hint });
  if (state && (state.is_ending || hasEnded(state))) return endOf(link, state);
  if (link === "lost") {
    const hint = "Connecting again. If this stays, look whether drive.py still runs.";
    const unknown = state?.playing ? "" : "What the car does is not known. ";
    return say("lost", "Connection lost", unknown + hint);
  }
  if (!state) return say("waiting", "Connecting", "Is drive.py running?");
  if (state.simulator === "waiting") {
    const other = `${location.port === "4567" ? "" : ` --url ${location.origin}`}`;
    const own = `or, in a terminal: python simulate.py drive lake${other}`;
    const hint = `Start it and choose Autonomous mode; ${own}`;
    return say("waiting", "Waiting for the simulator", hint);
  }
  if (state.simulator === "playing") {
    const isHeld = state.driver === "stop";
    const go = isHeld ? "Go on: press Space." : "Hold it: press Space.";
    const title = isHeld ? "The recording is held" : "A recording is played";
    return say("playing", title, `${go} Go to another place: ← or →.`);
  }
  if (state.simulator === "manual") {
    const hint = "W or S is held there, and it sends no pictures until it is let go.";
    return say("person", "You drive in the simulator", hint);
  }
  if (isSilent) {
    const hint = "Nothing has come for some seconds: is it paused?";
    return say("waiting", "The simulator is silent", hint);
  }
  if (state.driver === "stop") {
    const title = isMoving(state) ? "Stopping" : "Stopped";
    return say("stop", title, "Go on: press Space.");
  }
  if (state.driver === "person" && state.you === "steering") {
    return say("person", "You drive", "Let go, and the model drives on.");
  }
  if (state.driver === "person") {
    return say("person", "A person drives from another page", "You are watching.");
  }
  const how = "Take over: hold ← or →, or drag the picture.";
  return say("model", "The model drives", state.may_steer ? how : "You are watching.");
}

/** @param {State} state */
function isMoving({ speed_mph: mph }) {
  return mph !== null && Math.abs(mph) >= STANDING_MPH;
}

/**
 * Say how the run comes to its end, and what of the car is known by then.
 *
 * @param {Link} link
 * @param {State} state
 */
function endOf(link, state) {
  const mph = `${(state.speed_mph ?? 0).toFixed(0)} mph`;
  const isPlaying = state.simulator === "playing";
  const isBraking = !isPlaying && isMoving(state);
  if (link === "open" && isBraking) {
    return { kind: "stop", title: "The run ends", hint: `The car brakes: ${mph}.` };
  }
  let car = "";
  if (isBraking) car = `The car was told to brake; when last heard of it drove ${mph}. `;
  else if (!isPlaying && state.speed_mph !== null) car = "The car has stopped. ";
  const hint = `${car}When drive.py runs again, reload this page.`;
  return { kind: "ended", title: "The run has ended", hint };
}

/** @param {State} state @returns {string} */
function badFrames({ unusable, faults, dropped }) {
  const more = [];
  if (dropped) more.push(`${dropped} dropped`);
  if (faults) more.push(`${faults} failed`);
  return [unusable, ...more].join(" · ");
}

/**
 * @param {Link} link
 * @param {State | null} state
 * @param {boolean} isSilent
 * @returns {boolean} whether it says another thing than before
 */
export function showBanner(link, state, isSilent) {
  const { kind, title, hint } = bannerOf(link, state, isSilent);
  const isNews = document.title !== `${title} – cockpit`;
  document.body.dataset.kind = kind;
  document.body.dataset.mode = state?.playing ? "playing" : "driving";
  document.body.classList.toggle("stale", isStale(link, state, isSilent));
  element("banner").dataset.kind = kind;
  write("banner-title", title);
  write("banner-hint", hint);
  write("message", state?.message ?? "");
  element("message").hidden = !state?.message;
  write("what", state ? whatOf(state) : "");
  element("what").hidden = !state;
  document.title = `${title} – cockpit`;
  return isNews;
}

/**
 * Whether what is shown of the car is of an earlier time.
 *
 * @param {Link} link
 * @param {State | null} state
 * @param {boolean} isSilent
 */
export function isStale(link, state, isSilent) {
  const isShown = state?.simulator === "driving" || state?.simulator === "playing";
  return link !== "open" || !isShown || isSilent;
}

/** What this is of. @param {State} state */
function whatOf({ model, track, playing, simulator }) {
  const said = [];
  if (model) said.push(`Model ${model}`);
  if (playing) said.push(`recording ${playing.recording}`);
  else if (track) said.push(`track ${track}`);
  else if (simulator === "driving") said.push("a track that the simulator does not name");
  return said.join(" · ");
}

/**
 * @param {State | null} state null while nothing is known of the car
 * @param {number | null} own steering of this page's person, ahead of the server's news
 */
export function showWheel(state, own) {
  const person = own ?? state?.person_steering ?? null;
  const model = state?.model_steering ?? null;
  turnWheel(own ?? state?.steering ?? 0);
  turnMark("model", model);
  turnMark("person", person);
  write("model-steering", model === null ? UNKNOWN : signed(model));
  write("person-steering", person === null ? UNKNOWN : signed(person));
  const isPlayed = Boolean(state?.playing);
  write("person", isPlayed ? "As recorded" : "Person");
  write("person-line", isPlayed ? "Recorded steering" : "Person's steering");
}

/**
 * @param {State | null} car null while nothing is known of it
 * @param {State} state
 */
export function showGauges(car, state) {
  const percent = (/** @type {number} */ mph) =>
    `${(100 * Math.min(Math.abs(mph), MOST_MPH)) / MOST_MPH}%`;
  const speed = element("speed-bar").style;
  const mph = car?.speed_mph ?? null;
  speed.setProperty("--width", percent(mph ?? 0));
  const planned = car?.planned_speed_mph ?? null;
  speed.setProperty("--tick", percent(planned ?? state.target_speed_mph));
  write("speed", mph === null ? UNKNOWN : mph.toFixed(1));
  const most = `${state.target_speed_mph.toFixed(0)} mph`;
  const plan = planned === null ? "" : `planned ${planned.toFixed(0)}`;
  const target = plan ? `${plan} of ${most}` : `of ${most}`;
  const played = plan ? `mph, ${plan}` : "mph";
  write("speed-target", state.playing ? played : target);
  write("target-line", plan ? "Planned speed" : "Target speed");
  const pedal = car?.throttle ?? 0;
  const isBraking = pedal < 0;
  const width = 50 * Math.abs(pedal);
  const throttle = element("throttle-bar");
  throttle.classList.toggle("braking", isBraking);
  throttle.style.setProperty("--from", `${isBraking ? 50 - width : 50}%`);
  throttle.style.setProperty("--width", `${width}%`);
  write("pedal", isBraking ? "Brake" : "Throttle");
  const isKnown = car !== null && car.throttle !== null;
  write("throttle", isKnown ? `${Math.round(100 * Math.abs(pedal))} %` : UNKNOWN);
}

/** @param {State} state */
export function showFigures(state) {
  const { latency_ms: latency, corrections, distance_m: metres } = state;
  const isFar = metres >= 1000;
  const autonomy = state.autonomy_percent;
  write("autonomy", autonomy === null ? UNKNOWN : `${autonomy.toFixed(1)} %`);
  write("interventions", String(state.interventions));
  const kilometres = (metres / 1000).toFixed(2);
  write("distance", isFar ? `${kilometres} km` : `${metres.toFixed(0)} m`);
  write("time", clock(state.elapsed_s));
  write("row", state.playing ? state.playing.row.toLocaleString("en") : UNKNOWN);
  write("rate", state.frames_per_s.toFixed(0));
  const both = latency && `${latency.p50.toFixed(1)} / ${latency.p99.toFixed(1)} ms`;
  write("latency", both ?? UNKNOWN);
  write("unusable", badFrames(state));
  write("corrections", corrections.folder ? String(corrections.frames) : "not kept");
}

/** @param {State} state */
export function showEnd(state) {
  const { folder, frames } = state.corrections;
  const next = state.command ? "Next:" : "";
  const taught = `You taught ${frames} frames; they are in ${folder}.`;
  const nothing = state.playing ? "" : "Nothing was taught.";
  const text = `${folder && frames ? taught : nothing} ${next}`;
  write("ended-text", text);
  write("command", state.command ?? "");
  element("ended").hidden = !text.trim();
  element("command").hidden = element("copy").hidden = !state.command;
}
