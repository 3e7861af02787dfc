// @ts-check
/** One recording as the page holds it: its rows, and what is known of them by now. */

import { getJson, getPacked } from "./api.js";
import { MarkBook } from "./marks.js";
import { Pyramid, placeOf, runsOf } from "./series.js";

/** @typedef {import("./api.js").Bytes} Bytes */
/** @typedef {import("./api.js").Floats} Floats */
/** @typedef {import("./api.js").Moment} Moment */
/** @typedef {import("./api.js").RecordingState} RecordingState */

const MOST_STEP_S = 0.5; // between sessions nothing was driven

/** @typedef {{first: number, last: number, value: number}} Run */

/**
 * @typedef {object} ModelCurve
 * @property {Floats} steering NaN where the model has not looked yet
 * @property {Pyramid} pyramid
 * @property {Pyramid | null} error_m metres right of the path, NaN: not driven
 * @property {number[]} interventions rows
 * @property {number} known rows that it has looked at
 */

export class Book {
  /** @param {number} number of the recording */
  constructor(number) {
    this.number = number;
    this.count = 0;
    this.marks = new MarkBook(number);
    /** @type {Moment[]} */
    this.moments = [];
    this.numMoments = -1;
    /** @type {(ModelCurve | null)[]} */
    this.models = [];
    this.detailsVersion = "";
    /** @type {string[]} */
    this.reasons = [""];
    /** @type {any} What the marks change, as the server says. */
    this.changes = null;
    this.line = new Int32Array();
    this.time_s = new Float64Array();
    this.driven_s = new Float64Array();
    this.steering = new Float32Array();
    this.speed_mph = new Float32Array();
    this.taught = new Float32Array();
    this.use = new Uint8Array();
    this.reason = new Uint8Array();
    /** @type {Run[]} */
    this.sessions = [];
    /** @type {Run[]} */
    this.uses = [];
    /** @type {Record<string, Pyramid>} */
    this.pyramids = {};
  }

  /** Whether the rows are here. */
  get isOpen() {
    return this.count > 0;
  }

  /**
   * Bring the rows, once the server has read them.
   *
   * @param {RecordingState} state
   * @returns {Promise<boolean>} whether they have come now
   */
  async open(state) {
    return state.is_read && !this.isOpen && (await this.#readRows());
  }

  /**
   * Bring what is older than the server's, of a recording that is open.
   *
   * @param {RecordingState} state
   * @returns {Promise<boolean>} whether anything is new
   */
  async follow(state) {
    let isNew = false;
    if (state.marks && (await this.marks.follow(state.marks))) isNew = true;
    if (state.details !== this.detailsVersion && (await this.#readDetails())) isNew = true;
    if (state.has_moments && state.moments !== this.numMoments) {
      const query = { recording: this.number };
      this.moments = (await getJson("/moments", query))?.moments ?? [];
      this.numMoments = state.moments;
      isNew = true;
    }
    return isNew;
  }

  async #readRows() {
    const packed = await getPacked("/rows", { recording: this.number });
    if (!packed) return false;
    const { arrays } = packed;
    this.line = /** @type {Int32Array<ArrayBuffer>} */ (arrays.line);
    this.time_s = /** @type {Float64Array<ArrayBuffer>} */ (arrays.time_s);
    this.steering = /** @type {Floats} */ (arrays.steering);
    this.speed_mph = /** @type {Floats} */ (arrays.speed_mph);
    this.sessions = runsOf(arrays.session);
    this.count = this.line.length;
    this.driven_s = new Float64Array(this.count);
    for (let i = 1; i < this.count; i++) {
      const step_s = this.time_s[i] - this.time_s[i - 1];
      this.driven_s[i] =
        this.driven_s[i - 1] + Math.max(0, Math.min(MOST_STEP_S, step_s));
    }
    this.taught = new Float32Array(this.count).fill(NaN);
    this.use = new Uint8Array(this.count);
    this.reason = new Uint8Array(this.count);
    this.pyramids = {
      steering: new Pyramid(this.steering),
      speed: new Pyramid(this.speed_mph),
    };
    return this.isOpen;
  }

  async #readDetails() {
    const packed = await getPacked("/details", { recording: this.number });
    if (!packed || packed.arrays.use.length !== this.count) return false;
    this.detailsVersion = packed.head.version;
    this.reasons = packed.head.reasons;
    this.changes = packed.head.changes;
    this.taught = /** @type {Floats} */ (packed.arrays.taught);
    this.use = /** @type {Bytes} */ (packed.arrays.use);
    this.reason = /** @type {Bytes} */ (packed.arrays.reason);
    this.uses = runsOf(this.use);
    this.pyramids.taught = new Pyramid(this.taught);
    return true;
  }

  /**
   * Bring what a model has found since.
   *
   * @param {number} model
   * @param {RecordingState} state
   * @returns {Promise<boolean>} whether anything is new
   */
  async followModel(model, state) {
    const before = this.models[model];
    const known = state.steering[model] ?? 0;
    const hasReplay = Boolean(before?.error_m);
    if (!known || (before?.known === known && hasReplay === state.replays[model])) {
      return false;
    }
    const packed = await getPacked("/steering", { recording: this.number, model });
    if (!packed || packed.arrays.steering.length !== this.count) return false;
    const steering = /** @type {Floats} */ (packed.arrays.steering);
    this.models[model] = {
      steering,
      pyramid: new Pyramid(steering),
      error_m: packed.arrays.error_m ? new Pyramid(packed.arrays.error_m) : null,
      interventions: packed.head.interventions,
      known,
    };
    return true;
  }

  /** @param {number} line of the log @returns {number} the first row from it on */
  rowOf(line) {
    return Math.min(placeOf(this.line, line), this.count - 1);
  }

  /**
   * @param {{from_row: number, to_row: number}} stretch in lines of the log
   * @returns {[number, number]} its first and last row; the last before the first where
   *   there is none
   */
  rowsOf({ from_row, to_row }) {
    return [placeOf(this.line, from_row), placeOf(this.line, to_row + 1) - 1];
  }

  /** @returns {Uint8Array} for each row whether marks leave it out */
  leftOut() {
    const out = new Uint8Array(this.count);
    const only = this.marks.marks.filter((each) => each.mark === "only");
    if (only.length) out.fill(1);
    for (const each of only) {
      const [first, last] = this.rowsOf(each);
      out.fill(0, first, last + 1);
    }
    for (const each of this.marks.marks) {
      if (each.mark !== "leave-out") continue;
      const [first, last] = this.rowsOf(each);
      out.fill(1, first, last + 1);
    }
    return out;
  }

  /** @param {number} row @returns {number} of the session that it is in */
  sessionOf(row) {
    return this.sessions.findIndex(({ first, last }) => first <= row && row <= last);
  }
}
