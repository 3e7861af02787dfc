// @ts-check
/** Everything that the page shows of one row: its pictures, its steering, its numbers. */

import { steeringText } from "./models.js";
import { clock, element, signed, write } from "./parts.js";
import { Picture } from "./picture.js";
import { drawWheel, turnMark, turnWheel } from "./wheel.js";

/** @typedef {import("./api.js").Query} Query */
/** @typedef {import("./book.js").Book} Book */
/** @typedef {import("./player.js").Player} Player */

const AHEAD_ROWS = 8; // fetched before they are wanted
const AHEAD_STILL = 2; // where nothing is played
const SHOWN_PER_S = 4; // rows that are driven between two that are shown, at most
const USE_TEXT = ["", "held out for validation", "beside what is held out", "not used"];

/** @param {string} id @returns {Picture} */
const pictureOn = (id) => new Picture(/** @type {HTMLCanvasElement} */ (element(id)));
/** @param {number} value @returns {number} */
const clip = (value) => Math.max(-1, Math.min(1, value));

export class RowView {
  constructor() {
    this.center = pictureOn("center");
    this.left = pictureOn("left");
    this.right = pictureOn("right");
    this.view = pictureOn("view");
    this.heat = pictureOn("heat");
    this.thumb = pictureOn("thumb-picture");
    /** @type {string[]} */
    this.models = [];
    /** The model whose view, heat map and steering are shown. */
    this.model = 0;
    this.wantsHeat = false;
    this.center.onShown = (isThere) => {
      element("no-picture").hidden = isThere;
      write("no-picture", "This row has no picture that can be shown");
    };
    drawWheel(element("wheel"), ["taught", "model"]);
  }

  /** @param {Book} book of which no row is here yet */
  showFirst(book) {
    this.center.show("/frame", { recording: book.number, row: 0 });
  }

  /** @param {Book} book @param {Player} player */
  show(book, player) {
    const { row } = player;
    const query = { recording: book.number, row };
    this.center.show("/frame", query);
    this.left.show("/frame", { ...query, camera: "left" });
    this.right.show("/frame", { ...query, camera: "right" });
    this.#showModel(book, row);
    const stride = player.isPlaying ? Math.ceil(player.rate / SHOWN_PER_S) : 1;
    const ahead = player.isPlaying ? AHEAD_ROWS : AHEAD_STILL;
    for (let i = 1; i <= ahead; i++) {
      const next = row + i * stride;
      if (next < book.count) Picture.fetchSoon("/frame", { ...query, row: next });
    }
    this.showNumbers(book, row);
  }

  /** @param {Book} book @param {number} row */
  showNumbers(book, row) {
    write("row", `row ${book.line[row]} of ${book.line[book.count - 1]}`);
    write("clock", clock(book.driven_s[row]));
    write("speed", `${book.speed_mph[row].toFixed(1)} mph`);
    write("use", book.reasons[book.reason[row]] || USE_TEXT[book.use[row]]);
    const taught = Number.isNaN(book.taught[row]) ? null : book.taught[row];
    write("recorded", signed(book.steering[row]));
    write("taught", taught === null ? "–" : signed(taught));
    turnWheel(clip(book.steering[row]));
    turnMark("taught", taught);
    const answered = book.models[this.model]?.steering[row] ?? NaN;
    turnMark("model", Number.isNaN(answered) ? null : clip(answered));
    element("model-reading").hidden = !this.models.length;
    write("model-name", this.models[this.model] ?? "Model");
    write("model-steering", steeringText(book, row, this.model));
    const jump = /** @type {HTMLInputElement} */ (element("jump-row"));
    if (document.activeElement !== jump) jump.value = String(book.line[row]);
  }

  /** @param {Book} book @param {number} row */
  toggleHeat(book, row) {
    if (!this.models.length) return;
    this.wantsHeat = !this.wantsHeat;
    element("heat-legend").hidden = !this.wantsHeat;
    if (!this.wantsHeat) this.heat.clear();
    this.#showModel(book, row);
  }

  /** @param {Book} book @param {number} row */
  nextModel(book, row) {
    if (!this.models.length) return;
    this.model = (this.model + 1) % this.models.length;
    this.heat.clear();
    this.#showModel(book, row);
    this.showNumbers(book, row);
  }

  /**
   * @param {Book} book
   * @param {number} row
   * @param {number} x of the timeline
   * @param {number} width of the timeline
   */
  showThumb(book, row, x, width) {
    const thumb = element("thumb");
    thumb.hidden = false;
    const left = Math.max(0, Math.min(width - thumb.offsetWidth, x - thumb.offsetWidth / 2));
    thumb.style.setProperty("left", `${left}px`);
    this.thumb.show("/frame", { recording: book.number, row });
    write("thumb-text", `row ${book.line[row]} · ${signed(book.steering[row])}`);
  }

  hideThumb() {
    element("thumb").hidden = true;
  }

  clear() {
    const { center, left, right, view, heat, thumb } = this;
    for (const picture of [center, left, right, view, heat, thumb]) picture.clear();
  }

  /** @param {Book} book @param {number} row */
  #showModel(book, row) {
    /** @type {Query} */
    const query = { recording: book.number, row };
    if (this.models.length) query.model = this.model;
    this.view.show("/view", query);
    if (this.wantsHeat) this.heat.show("/heat", query);
    write("heat-legend", `green: what ${this.models[this.model] ?? ""} looks at`);
  }
}
