// @ts-check
/** Numbers of a hundred thousand rows, in a form that is drawn at any width at once. */

/** @typedef {import("./api.js").Numbers} Numbers */

/** The least and greatest of 1, 2, 4, … neighbours; NaN is no number among them. */
export class Pyramid {
  /** @param {Numbers} values */
  constructor(values) {
    this.values = values;
    /** @type {{low: Float32Array, high: Float32Array}[]} */
    this.levels = [];
    let low = Float32Array.from(values);
    let high = low;
    while (low.length > 1) {
      const count = Math.ceil(low.length / 2);
      const lower = new Float32Array(count);
      const higher = new Float32Array(count);
      for (let i = 0; i < count; i++) {
        const j = Math.min(2 * i + 1, low.length - 1);
        lower[i] = least(low[2 * i], low[j]);
        higher[i] = most(high[2 * i], high[j]);
      }
      this.levels.push({ low: lower, high: higher });
      low = lower;
      high = higher;
    }
  }

  /**
   * @param {number} first row, from 0
   * @param {number} last row behind it, or more
   * @returns {[number, number]} least and greatest of the rows; NaN where there is none
   */
  range(first, last) {
    let [low, high] = [NaN, NaN];
    let at = Math.max(0, first);
    const end = Math.min(last, this.values.length);
    while (at < end) {
      // The largest block that begins here and ends within.
      let level = 0;
      while (
        level < this.levels.length &&
        at % (2 << level) === 0 &&
        at + (2 << level) <= end
      ) {
        level++;
      }
      const block = level ? this.levels[level - 1] : null;
      const place = at >> level;
      low = least(low, block ? block.low[place] : this.values[at]);
      high = most(high, block ? block.high[place] : this.values[at]);
      at += 1 << level;
    }
    return [low, high];
  }
}

/** @param {number} a @param {number} b @returns {number} */
function least(a, b) {
  return b < a || Number.isNaN(a) ? b : a;
}

/** @param {number} a @param {number} b @returns {number} */
function most(a, b) {
  return b > a || Number.isNaN(a) ? b : a;
}

/**
 * @param {Numbers} values
 * @returns {{first: number, last: number, value: number}[]} stretches of one value
 */
export function runsOf(values) {
  const runs = [];
  for (let first = 0; first < values.length; ) {
    let last = first;
    while (last + 1 < values.length && values[last + 1] === values[first]) last++;
    runs.push({ first, last, value: values[first] });
    first = last + 1;
  }
  return runs;
}

/**
 * @param {Numbers} sorted
 * @param {number} value
 * @returns {number} place of the first that is not less; the length where there is none
 */
export function placeOf(sorted, value) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
