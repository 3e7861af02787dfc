// @ts-check
/** Shows a state of the drive on the page: banner, wheel, gauges, figures. */

import { clock, element, signed, write } from "./parts.js";
import { turnMark, turnWheel } from "./wheel.js";

/**
 * What the server says with each frame; docs/protocol.md has the units.
 *
 * @typedef {object} State
 * @property {"waiting" | "driving" | "manual" | "playing"} simulator
 * @property {"model" | "person" | "stop"} driver
 * @property {number} steering that was sent, -1 to 1, + is right
 * @property {number} model_steering
 * @property {number | null} person_steering
 * @property {number} throttle -1 to 1, below 0 brakes
 * @property {number} speed_mph
 * @property {number} target_speed_mph
 * @property {number} frames_per_s
 * @property {{p50: number, p99: number}} latency_ms
 * @property {number} unusable
 * @property {number} faults
 * @property {number} dropped
 * @property {number} autonomy_percent
 * @property {number} interventions
 * @property {number} distance_m
 * @property {number} elapsed_s
 * @property {"watching" | "steering"} you
 * @property {boolean} may_steer
 * @property {boolean} heat_map
 * @property {{folder: string | null, frames: number}} corrections
 * @property {string | null} recording
 * @property {string | null} command
 * @property {string} message
 */

/** @typedef {"connecting" | "open" | "lost" | "ended"} Link */

const MOST_MPH = 30;

/**
 * Say who drives, and what to do next.
 *
 * @param {Link} link
 * @param {State | null} state the last that came
 * @param {boolean} isSilent whether a driving simulator has sent nothing for seconds
 * @returns {{kind: string, title: string, hint: string}}
 */
export function bannerOf(link, state, isSilent) {
  /** @param {string} kind @param {string} title @param {string} hint */
  const say = (kind, title, hint) => ({ kind, title, hint });
  if (link === "ended") {
    const hint = "The car has stopped. When drive.py runs again, reload this page.";
    return say("ended", "The run has ended", hint);
  }
  if (link === "lost") {
    const hint = "Connecting again. If this stays, look whether drive.py still runs.";
    return say("lost", "Connection lost: the model drives", hint);
  }
  if (!state) return say("waiting", "Connecting", "Is drive.py running?");
  if (state.simulator === "waiting") {
    const hint = "Start it and choose Autonomous mode.";
    return say("waiting", "Waiting for the simulator", hint);
  }
  if (state.simulator === "playing") {
    const isHeld = state.driver === "stop";
    const hint = isHeld ? "Held. Go on: press Space." : "Hold it: press Space.";
    return say("model", "A recording is played", hint);
  }
  if (state.simulator === "manual") {
    const hint = "W or S is held there, and it sends no pictures until it is let go.";
    return say("person", "You drive in the simulator", hint);
  }
  if (isSilent) {
    const hint = "Nothing has come for some seconds: is it paused?";
    return say("waiting", "The simulator is silent", hint);
  }
  if (state.driver === "stop") return say("stop", "Stopped", "Go on: press Space.");
  if (state.driver === "person" && state.you === "steering") {
    return say("person", "You drive", "Let go, and the model drives on.");
  }
  if (state.driver === "person") {
    return say("person", "A person drives from another page", "You are watching.");
  }
  const how = "Take over: hold ← or →, or drag the picture.";
  return say("model", "The model drives", state.may_steer ? how : "You are watching.");
}

/** @param {State} state @returns {string} */
function badFrames({ unusable, faults, dropped }) {
  const more = [];
  if (dropped) more.push(`${dropped} dropped`);
  if (faults) more.push(`${faults} failed`);
  return [unusable, ...more].join(" · ");
}

/** @param {Link} link @param {State | null} state @param {boolean} isSilent */
export function showBanner(link, state, isSilent) {
  const { kind, title, hint } = bannerOf(link, state, isSilent);
  document.body.dataset.kind = kind;
  document.body.classList.toggle("stale", link !== "open" || kind === "waiting");
  element("banner").dataset.kind = kind;
  write("banner-title", title);
  write("banner-hint", hint);
  write("message", state?.message ?? "");
  element("message").hidden = !state?.message;
  document.title = `${title} – cockpit`;
}

/**
 * @param {State} state
 * @param {number | null} own steering of this page's person, ahead of the server's news
 */
export function showWheel(state, own) {
  const person = own ?? state.person_steering;
  turnWheel(own ?? state.steering);
  turnMark("model", state.model_steering);
  turnMark("person", person);
  write("model-steering", signed(state.model_steering));
  write("person-steering", person === null ? "–" : signed(person));
}

/** @param {State} state */
export function showGauges(state) {
  const percent = (/** @type {number} */ mph) =>
    `${(100 * Math.min(mph, MOST_MPH)) / MOST_MPH}%`;
  const speed = element("speed-bar").style;
  speed.setProperty("--width", percent(state.speed_mph));
  speed.setProperty("--tick", percent(state.target_speed_mph));
  write("speed", state.speed_mph.toFixed(1));
  write("speed-target", `of ${state.target_speed_mph.toFixed(0)} mph`);
  const isBraking = state.throttle < 0;
  const width = 50 * Math.abs(state.throttle);
  const throttle = element("throttle-bar");
  throttle.classList.toggle("braking", isBraking);
  throttle.style.setProperty("--from", `${isBraking ? 50 - width : 50}%`);
  throttle.style.setProperty("--width", `${width}%`);
  write("pedal", isBraking ? "Brake" : "Throttle");
  write("throttle", `${Math.round(100 * Math.abs(state.throttle))} %`);
}

/** @param {State} state */
export function showFigures(state) {
  const { latency_ms: latency, corrections, distance_m: metres } = state;
  const isFar = metres >= 1000;
  write("autonomy", `${state.autonomy_percent.toFixed(1)} %`);
  write("interventions", String(state.interventions));
  const kilometres = (metres / 1000).toFixed(2);
  write("distance", isFar ? `${kilometres} km` : `${metres.toFixed(0)} m`);
  write("time", clock(state.elapsed_s));
  write("rate", state.frames_per_s.toFixed(0));
  write("latency", `${latency.p50.toFixed(1)} / ${latency.p99.toFixed(1)} ms`);
  write("unusable", badFrames(state));
  write("corrections", corrections.folder ? String(corrections.frames) : "not kept");
}

/** @param {State} state */
export function showEnd(state) {
  const { folder, frames } = state.corrections;
  const next = state.command ? "Next:" : "";
  const taught = `You taught ${frames} frames; they are in ${folder}.`;
  const text = `${folder && frames ? taught : "Nothing was taught."} ${next}`;
  write("ended-text", text);
  write("command", state.command ?? "");
  element("ended").hidden = false;
  element("command").hidden = element("copy").hidden = !state.command;
}
