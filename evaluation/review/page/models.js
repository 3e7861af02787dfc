// @ts-check
/** Models beside the driver: their steering, what they look at, where they drive. */

import { make } from "./lists.js";
import { element, signed } from "./parts.js";
import { Pen } from "./pen.js";
import { Picture } from "./picture.js";

/** @typedef {import("./book.js").Book} Book */
/** @typedef {import("./api.js").State} State */
/** @typedef {import("./timeline.js").Curve} Curve */

/** Colours of the models, in their order; the last one is that of all others. */
export const COLOURS = ["model", "other", "hard"];

/** @param {number} model @returns {string} */
export function colourOf(model) {
  return COLOURS[Math.min(model, COLOURS.length - 1)];
}

/**
 * @param {Float32Array} one
 * @param {Float32Array} other
 * @param {number} first row
 * @param {number} end the row behind the last
 * @returns {number} their root mean square difference, NaN where nothing is known
 */
export function rmse(one, other, first, end) {
  let [sum, count] = [0, 0];
  for (let row = Math.max(0, first); row < Math.min(end, one.length); row++) {
    const off = one[row] - other[row];
    if (Number.isNaN(off)) continue;
    sum += off * off;
    count++;
  }
  return count ? Math.sqrt(sum / count) : NaN;
}

/** @typedef {{box: HTMLInputElement, text: HTMLElement, frame: Picture, heat: Picture}} Card */

export class ModelPanel {
  /** @param {() => void} onChange another model is shown, or none */
  constructor(onChange) {
    this.onChange = onChange;
    /** @type {Card[]} */
    this.cards = [];
  }

  /** @param {State} state */
  make(state) {
    if (this.cards.length === state.models.length) return;
    this.cards = state.models.map((name, model) => this.#card(name, model));
    this.onChange();
  }

  /**
   * @param {Book} book
   * @returns {Curve[]} of the models that are shown
   */
  curves(book) {
    return this.cards.flatMap(({ box }, model) => {
      const curve = book.models[model];
      if (!box.checked || !curve) return [];
      return [{ pyramid: curve.pyramid, colour: colourOf(model), width: 1.5 }];
    });
  }

  /**
   * Say how far the models are from the driver in the stretch that is seen.
   *
   * @param {Book} book
   * @param {State} state
   * @param {number} from row
   * @param {number} until
   */
  show(book, state, from, until) {
    const [first, end] = [Math.floor(from), Math.ceil(until)];
    for (const [model, { text }] of this.cards.entries()) {
      const curve = book.models[model];
      if (!curve) {
        text.textContent = "has not looked yet";
        continue;
      }
      const taught = rmse(curve.steering, book.taught, first, end);
      const recorded = rmse(curve.steering, book.steering, first, end);
      const part = curve.known < book.count ? ` (${curve.known} rows looked at)` : "";
      const isKnown = !Number.isNaN(recorded);
      text.textContent = isKnown
        ? `RMSE of the stretch seen: ${taught.toFixed(3)} to the label, ` +
          `${recorded.toFixed(3)} to the recorded${part}`
        : `nothing known of this stretch${part}`;
    }
    const { num_models: all, fault } = state;
    const none = "No model: start review.py with --model MODEL.";
    const loading = fault || "The models are being loaded.";
    const few = this.cards.length ? "" : loading;
    element("models-text").textContent = all ? few : none;
    this.#drawReplay(book, from, until);
  }

  /**
   * Show what the models look at in a row.
   *
   * @param {Book} book
   * @param {number} row
   */
  look(book, row) {
    for (const [model, { frame, heat }] of this.cards.entries()) {
      const query = { recording: book.number, row };
      frame.show("/frame", { ...query, camera: "center" });
      heat.show("/heat", { ...query, model });
    }
  }

  /** @param {Book} book @param {number} from @param {number} until */
  #drawReplay(book, from, until) {
    const figure = element("replays");
    figure.hidden = !book.models.some((curve) => curve?.error_m);
    const canvas = /** @type {HTMLCanvasElement} */ (element("replay"));
    if (figure.hidden || !canvas.clientWidth) return;
    const style = getComputedStyle(document.documentElement);
    const pen = new Pen(canvas, (name) => style.getPropertyValue(`--${name}`), from, until);
    const y = (/** @type {number} */ metres) => pen.height / 2 + metres * (pen.height / 2.6);
    for (const metres of [-1, 0, 1]) pen.rule(y(metres));
    for (const [model, curve] of book.models.entries()) {
      if (!curve?.error_m || !this.cards[model]?.box.checked) continue;
      pen.curve(curve.error_m, y, colourOf(model), 1.5);
      for (const row of curve.interventions) pen.tip(row, pen.height, colourOf(model));
    }
    pen.label("−1 m left", 0, y(-1) + 10);
    pen.label("+1 m right", 0, y(1) - 2);
  }

  /** @param {string} name @param {number} model @returns {Card} */
  #card(name, model) {
    const item = make("li", "", colourOf(model));
    const label = make("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", this.onChange);
    label.append(box, make("strong", ` ${name}`));
    const pair = make("div", "", "pair");
    const [frame, heat] = ["frame", "heat map"].map((what) => {
      const canvas = document.createElement("canvas");
      canvas.width = 320;
      canvas.height = 160;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${what} of ${name}`);
      pair.append(canvas);
      return new Picture(canvas);
    });
    const text = make("p");
    item.append(label, text, pair);
    element("model-list").append(item);
    return { box, text, frame, heat };
  }
}

/**
 * @param {Book} book
 * @param {number} row
 * @param {number} model
 * @returns {string} its steering, or a dash
 */
export function steeringText(book, row, model) {
  const value = book.models[model]?.steering[row] ?? NaN;
  return Number.isNaN(value) ? "–" : signed(Math.max(-1, Math.min(1, value)));
}
