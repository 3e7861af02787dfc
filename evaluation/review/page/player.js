// @ts-check
/** Which row is looked at: stepping, playing at any speed, jumping. */

/** @typedef {import("./book.js").Book} Book */

export const RATES = [0.25, 0.5, 1, 2, 4, 8];

export class Player {
  /** @param {(row: number) => void} onRow called whenever another row is looked at */
  constructor(onRow) {
    this.onRow = onRow;
    /** @type {Book | null} */
    this.book = null;
    this.row = 0;
    // Where to go once the recording is there: keys are heard before it is.
    this.wished = 0;
    this.rate = 1;
    this.isPlaying = false;
    this.onPlaying = () => {};
    this.playedMs = 0;
    this.at_s = 0;
  }

  /** @param {Book} book @param {number} row */
  open(book, row) {
    this.pause();
    this.book = book;
    this.seek(this.wished || row);
    this.wished = 0;
  }

  /** @param {number} row brought within the recording */
  seek(row) {
    if (!this.book?.isOpen) {
      this.wished = Math.max(0, row);
      return;
    }
    this.row = Math.max(0, Math.min(this.book.count - 1, Math.round(row)));
    this.at_s = this.book.driven_s[this.row];
    this.onRow(this.row);
  }

  /** @param {number} rows on, or back below 0 */
  step(rows) {
    this.pause();
    this.seek((this.book?.isOpen ? this.row : this.wished) + rows);
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  play() {
    const { book } = this;
    if (!book?.isOpen) return;
    if (this.row === book.count - 1) this.seek(0);
    this.isPlaying = true;
    this.playedMs = performance.now();
    requestAnimationFrame(() => this.#tick());
    this.onPlaying();
  }

  pause() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.onPlaying();
  }

  /** @param {number} places up or down in RATES */
  changeRate(places) {
    const at = RATES.indexOf(this.rate) + places;
    this.rate = RATES[Math.max(0, Math.min(RATES.length - 1, at))];
    this.onPlaying();
  }

  #tick() {
    const { book } = this;
    if (!this.isPlaying || !book) return;
    const nowMs = performance.now();
    // A page that was hidden does not leap on.
    const passed_s = Math.min(0.25, (nowMs - this.playedMs) / 1000);
    this.playedMs = nowMs;
    this.at_s += passed_s * this.rate;
    let { row } = this;
    while (row + 1 < book.count && book.driven_s[row + 1] <= this.at_s) row++;
    if (row !== this.row) {
      this.row = row;
      this.onRow(row);
    }
    if (row === book.count - 1) this.pause();
    else requestAnimationFrame(() => this.#tick());
  }
}
