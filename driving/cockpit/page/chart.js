// @ts-check
/** The strip chart: steering of model and person above, speed below, of one minute. */

const SPAN_MS = 60_000;
const LEAST_GAP_MS = 40; // between two samples that are kept
const BREAK_MS = 1000; // without a sample, after which the line is broken
const MOST_MPH = 30;
const AXIS = 22; // pixels for the labels of time below
const LABEL = 14; // pixels of a label's height
const NOW_PX = 26; // of the word at the right end
const GUTTER = 68; // pixels for the labels on the left

/**
 * @typedef {object} Sample
 * @property {boolean} [isEnd] whether the line is broken after it
 * @property {number} atMs
 * @property {number} model steering, -1 to 1, + is right
 * @property {number | null} person steering, null while no person drives
 * @property {number} mph
 * @property {number | null} targetMph null where none is held
 */

export class StripChart {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {Sample[]} */
    this.samples = [];
  }

  /** @param {Sample} sample */
  add(sample) {
    const last = this.samples.at(-1);
    if (last && sample.atMs - last.atMs < LEAST_GAP_MS) return;
    this.samples.push(sample);
    while (this.samples[0].atMs < sample.atMs - SPAN_MS) this.samples.shift();
  }

  /** Let the line go on after a gap: what comes next is of another place. */
  interrupt() {
    const last = this.samples.at(-1);
    if (last) last.isEnd = true;
  }

  /** @param {number} nowMs */
  draw(nowMs) {
    const { canvas, context } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio;
    // To set the size clears the canvas, too.
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const style = getComputedStyle(canvas);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`);
    context.font = `13px ${style.fontFamily}`;

    const x = (/** @type {number} */ atMs) =>
      width - ((nowMs - atMs) / SPAN_MS) * (width - GUTTER);
    const bottom = height - AXIS;
    const half = (0.58 * bottom - LABEL) / 2;
    const middle = LABEL / 2 + half;
    const steeringY = (/** @type {number} */ value) => middle + value * half;
    const speedY = (/** @type {number} */ mph) =>
      bottom - (mph / MOST_MPH) * (0.42 * bottom - LABEL);

    this.#axes(width, height, colour, { middle, steeringY, speedY });
    const target = (/** @type {Sample} */ s) =>
      s.targetMph === null ? null : speedY(s.targetMph);
    context.setLineDash([5, 4]);
    this.#line(x, target, colour("faint"), 1.5);
    context.setLineDash([]);
    this.#line(x, (s) => speedY(s.mph), colour("go"), 2);
    this.#line(x, (s) => steeringY(s.model), colour("model"), 2);
    const person = (/** @type {Sample} */ s) =>
      s.person === null ? null : steeringY(s.person);
    this.#line(x, person, colour("person"), 3);
  }

  /**
   * @param {number} width
   * @param {number} height
   * @param {(name: string) => string} colour
   * @param {{middle: number, steeringY: (v: number) => number,
   *   speedY: (v: number) => number}} places
   */
  #axes(width, height, colour, { middle, steeringY, speedY }) {
    const { context } = this;
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    const steering = [steeringY(-1), middle, steeringY(1)];
    for (const y of [...steering, speedY(0), speedY(MOST_MPH)]) {
      context.beginPath();
      context.moveTo(GUTTER, Math.round(y) + 0.5);
      context.lineTo(width, Math.round(y) + 0.5);
      context.stroke();
    }
    context.fillStyle = colour("faint");
    context.textBaseline = "middle";
    const scale = /** @type {[string, number][]} */ ([
      ["left −1", steeringY(-1)],
      ["0", middle],
      ["right +1", steeringY(1)],
      [`${MOST_MPH} mph`, speedY(MOST_MPH)],
      ["0", speedY(0)],
    ]);
    context.textAlign = "right";
    for (const [text, y] of scale) context.fillText(text, GUTTER - 8, y);
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
    for (const seconds of [60, 45, 30, 15]) {
      const at = width - (seconds / 60) * (width - GUTTER);
      // On a phone the last one would run into "now".
      if (at < width - NOW_PX - 38) context.fillText(`−${seconds} s`, at, height - 1);
    }
    context.fillText("now", width - NOW_PX, height - 1);
  }

  /**
   * @param {(atMs: number) => number} x
   * @param {(sample: Sample) => number | null} y null: no line here
   * @param {string} colour
   * @param {number} lineWidth
   */
  #line(x, y, colour, lineWidth) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = lineWidth;
    context.lineJoin = "round";
    context.beginPath();
    let beforeMs = -Infinity;
    for (const sample of this.samples) {
      const at = y(sample);
      if (at === null) {
        beforeMs = -Infinity;
        continue;
      }
      const isBroken = sample.atMs - beforeMs > BREAK_MS;
      if (isBroken) context.moveTo(x(sample.atMs), at);
      else context.lineTo(x(sample.atMs), at);
      beforeMs = sample.isEnd ? -Infinity : sample.atMs;
    }
    context.stroke();
  }
}
