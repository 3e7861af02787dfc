// @ts-check
/**
 * The timeline: the whole recording above, below it the stretch that is looked at.
 *
 * Both are drawn from pyramids (series.js), so that a hundred thousand rows take no longer
 * than a thousand; and where only the row has moved, nothing but its line is drawn. The
 * axis counts rows: gaps between sessions take no room, a line shows them, and the time
 * below is the time driven.
 */

import { clock } from "./parts.js";
import { Pen, Still } from "./pen.js";

/** @typedef {import("./book.js").Book} Book */
/** @typedef {import("./series.js").Pyramid} Pyramid */

const LEAST_ROWS = 20; // that are seen at once
const CLICK_PX = 5; // a pointer that moves no farther has clicked
const USED = 0; // of what becomes of a row: trained on, then what is below
const USES = ["", "validated", "margin", "unused"];
/** @type {Record<string, string>} colour of each mark */
export const MARK_COLOURS = { "leave-out": "out", only: "only", hard: "hard" };
const FOOT = 18; // pixels of the labels below
const BAND = 9; // pixels of the bands of marks and of use

/**
 * @typedef {object} Curve
 * @property {Pyramid} pyramid
 * @property {string} colour name of a custom property
 * @property {number} width
 */

export class Timeline {
  /**
   * @param {HTMLCanvasElement} overview
   * @param {HTMLCanvasElement} detail
   * @param {object} to what is done with it
   * @param {(row: number) => void} to.seek a place was clicked
   * @param {(first: number, last: number) => void} to.select a stretch was dragged over
   * @param {(row: number, x: number) => void} to.hover the pointer is at a row
   * @param {() => void} to.leave the pointer has gone
   * @param {() => void} to.look another stretch is seen
   */
  constructor(overview, detail, to) {
    this.overview = overview;
    this.detail = detail;
    this.to = to;
    /** @type {Book | null} */
    this.book = null;
    this.row = 0;
    /** The rows that are seen: the first, and the one behind the last. */
    this.from = 0;
    this.until = 1;
    /** @type {[number, number] | null} */
    this.selection = null;
    /** @type {[number, number] | null} */
    this.moment = null;
    /** @type {Curve[]} steering of models */
    this.curves = [];
    this.stills = [new Still(overview), new Still(detail)];
    this.isStale = false;
    this.isAwaited = false;
    this.#listen();
    new ResizeObserver(() => this.dirty()).observe(detail);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
      this.dirty(),
    );
  }

  /** @param {Book} book */
  open(book) {
    this.book = book;
    this.from = 0;
    this.until = Math.max(1, book.count);
    this.selection = this.moment = null;
    this.to.look();
    this.dirty();
  }

  /** Draw it anew with the next picture of the screen. */
  dirty() {
    this.isStale = true;
    this.#await();
  }

  #await() {
    if (this.isAwaited) return;
    this.isAwaited = true;
    requestAnimationFrame(() => {
      this.isAwaited = false;
      this.#draw();
    });
  }

  /** @param {number} row to be seen, and marked by the cursor */
  follow(row) {
    this.row = row;
    const seen = this.until - this.from;
    if (row < this.from || row >= this.until) this.see(row - seen / 4, row + 0.75 * seen);
    this.#await();
  }

  /** @param {number} from @param {number} until rows to be seen, cut to what there is */
  see(from, until) {
    const count = this.book?.count ?? 1;
    const seen = Math.min(count, Math.max(Math.min(LEAST_ROWS, count), until - from));
    this.from = Math.max(0, Math.min(count - seen, from));
    this.until = this.from + seen;
    this.to.look();
    this.dirty();
  }

  /** @param {number} factor below 1 comes closer @param {number} row that stays in place */
  zoom(factor, row = this.row) {
    const seen = this.until - this.from;
    const wanted = seen * factor;
    const part = Math.max(0, Math.min(1, (row - this.from) / seen));
    this.see(row - part * wanted, row + (1 - part) * wanted);
  }

  // --- Pointers ----------------------------------------------------------------------

  #listen() {
    const { detail, overview } = this;
    /** @type {{x: number, row: number, isDrag: boolean} | null} */
    let press = null;
    detail.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.book?.isOpen) return;
      detail.setPointerCapture(event.pointerId);
      press = { x: event.offsetX, row: this.#rowAt(event.offsetX), isDrag: false };
    });
    detail.addEventListener("pointermove", (event) => {
      if (!this.book?.isOpen) return;
      const row = this.#rowAt(event.offsetX);
      if (press && Math.abs(event.offsetX - press.x) > CLICK_PX) press.isDrag = true;
      if (press?.isDrag) {
        this.selection = [Math.min(press.row, row), Math.max(press.row, row)];
        this.dirty();
      }
      this.to.hover(row, event.offsetX);
    });
    detail.addEventListener("pointerup", (event) => {
      if (!press) return;
      if (press.isDrag && this.selection) this.to.select(...this.selection);
      else this.to.seek(this.#rowAt(event.offsetX));
      press = null;
    });
    detail.addEventListener("pointercancel", () => {
      press = null;
    });
    detail.addEventListener("pointerleave", () => this.to.leave());
    detail.addEventListener(
      "wheel",
      (event) => {
        if (!this.book?.isOpen) return;
        event.preventDefault();
        const seen = this.until - this.from;
        const along = event.shiftKey ? event.deltaY : event.deltaX;
        if (Math.abs(along) > 0) {
          const rows = (along / detail.clientWidth) * seen;
          this.see(this.from + rows, this.until + rows);
        } else {
          this.zoom(1.0015 ** event.deltaY, this.#rowAt(event.offsetX));
        }
      },
      { passive: false },
    );
    /** @param {PointerEvent} event */
    const lookAt = (event) => {
      const count = this.book?.count ?? 1;
      const row = (event.offsetX / overview.clientWidth) * count;
      const half = (this.until - this.from) / 2;
      if (half * 2 < count) this.see(row - half, row + half);
      this.to.seek(row);
    };
    overview.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      overview.setPointerCapture(event.pointerId);
      lookAt(event);
    });
    overview.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) lookAt(event);
    });
  }

  /** @param {number} x of the detail @returns {number} row */
  #rowAt(x) {
    const seen = this.until - this.from;
    const row = Math.floor(this.from + (x / this.detail.clientWidth) * seen);
    return Math.max(0, Math.min((this.book?.count ?? 1) - 1, row));
  }

  // --- Drawing -----------------------------------------------------------------------

  #draw() {
    const { book, isStale } = this;
    if (!book?.isOpen) return;
    this.isStale = false;
    const style = getComputedStyle(document.documentElement);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`);
    const [overview, detail] = this.stills;
    if (isStale) {
      this.#drawOverview(new Pen(this.overview, colour, 0, book.count));
      this.#drawDetail(new Pen(this.detail, colour, this.from, this.until));
      for (const still of this.stills) still.keep();
      // For whoever looks at the page by a program.
      this.detail.dataset.seen = `${Math.round(this.from)}-${Math.round(this.until)}`;
    }
    const middle = this.row + 0.5;
    overview.draw(middle / book.count, 0, colour("ink"));
    const along = (middle - this.from) / (this.until - this.from);
    detail.draw(along, FOOT, colour("ink"));
  }

  /** @param {Pen} pen */
  #drawOverview(pen) {
    const { book } = this;
    if (!book) return;
    const { height } = pen;
    const reach = reachOf(book);
    const y = (/** @type {number} */ v) => height / 2 - 2 + (v / reach) * (height / 2 - 8);
    pen.band(height - 5, 5, this.#bands());
    pen.curve(book.pyramids.steering, y, "person", 1);
    for (const mark of book.marks.marks) {
      const [first, last] = book.rowsOf(mark);
      pen.area(first, last, 0, height, MARK_COLOURS[mark.mark], 0.35);
    }
    for (const moment of book.moments.slice(0, 60)) {
      pen.dot(book.rowOf(moment.row), 4, "ink");
    }
    for (const { first } of book.sessions.slice(1)) pen.line(first, 0, height, "faint");
    pen.frame(this.from, this.until);
  }

  /** @param {Pen} pen */
  #drawDetail(pen) {
    const { book } = this;
    if (!book) return;
    const { height, width } = pen;
    const bottom = height - FOOT;
    const steeringEnd = Math.round(0.58 * bottom);
    const top = BAND + 4;
    const reach = reachOf(book);
    const middle = (top + steeringEnd) / 2;
    const half = (steeringEnd - top) / 2 - 3;
    const steeringY = (/** @type {number} */ value) => middle + (value / reach) * half;
    const most = Math.max(10, Math.ceil(book.pyramids.speed.range(0, book.count)[1] / 10) * 10);
    const speedY = (/** @type {number} */ mph) =>
      bottom - BAND - 4 - (mph / most) * (bottom - steeringEnd - BAND - 10);

    if (this.moment) pen.area(...this.moment, top, bottom, "faint", 0.18);
    if (this.selection) pen.area(...this.selection, 0, bottom, "model", 0.2);
    for (const value of [-reach, 0, reach]) pen.rule(steeringY(value));
    for (const value of [0, most]) pen.rule(speedY(value));
    pen.band(bottom - BAND, BAND, this.#bands());
    for (const mark of book.marks.marks) {
      const [first, last] = book.rowsOf(mark);
      const name = MARK_COLOURS[mark.mark];
      pen.area(first, last, 0, BAND, name, 1);
      if (mark.mark === "leave-out") pen.area(first, last, BAND, bottom, name, 0.16);
    }
    pen.curve(book.pyramids.speed, speedY, "go", 1.5);
    pen.curve(book.pyramids.steering, steeringY, "person", 1.5);
    if (book.pyramids.taught) pen.curve(book.pyramids.taught, steeringY, "taught", 1.5);
    for (const { pyramid, colour, width: thick } of this.curves) {
      pen.curve(pyramid, steeringY, colour, thick);
    }
    for (const { first } of book.sessions.slice(1)) {
      pen.line(first, 0, bottom, "ink", 1, [3, 3]);
      const gap_s = book.time_s[first] - book.time_s[first - 1];
      const gap = gap_s < 0 ? "earlier" : `gap ${gap_s < 90 ? gap_s.toFixed(1) + " s" : clock(gap_s)}`;
      pen.text(gap, pen.x(first) + 3, top + 9, "faint");
    }
    for (const moment of book.moments) {
      const row = book.rowOf(moment.row);
      if (row >= this.from && row < this.until) pen.tip(row, bottom - BAND, "ink");
    }
    if (this.selection) pen.edges(...this.selection, bottom, "model");
    pen.label(`left ${reach.toFixed(1)}`, 2, steeringY(-reach) + 10);
    pen.label(`right ${reach.toFixed(1)}`, 2, steeringY(reach) - 2);
    pen.label(`${most} mph`, 2, speedY(most) + 9);
    this.#labels(pen, width, height);
  }

  /** @param {Pen} pen @param {number} width @param {number} height */
  #labels(pen, width, height) {
    const { book } = this;
    if (!book) return;
    const count = Math.max(2, Math.floor(width / 130));
    for (let i = 0; i < count; i++) {
      const x = ((i + 0.5) / count) * width;
      const row = Math.floor(this.from + ((i + 0.5) / count) * (this.until - this.from));
      if (row >= book.count) continue;
      const text = `${clock(book.driven_s[row])} · row ${book.line[row]}`;
      pen.text(text, x, height - 4, "faint", "center");
    }
  }

  /** @returns {{first: number, last: number, colour: string}[]} what is not trained on */
  #bands() {
    const runs = this.book?.uses ?? [];
    return runs
      .filter(({ value }) => value !== USED)
      .map(({ first, last, value }) => ({ first, last, colour: USES[value] }));
  }
}

/** @param {Book} book @returns {number} how far the axis of steering reaches */
function reachOf(book) {
  const [low, high] = book.pyramids.steering.range(0, book.count);
  return Math.min(1, Math.max(0.2, Math.ceil(Math.max(-low, high) * 10) / 10));
}
