// @ts-check
/** Pictures of rows on canvases: the newest one that is wanted, and no other. */

import { getPicture } from "./api.js";

/** @typedef {import("./api.js").Query} Query */

/** What was fetched lately, by its address; the least used goes first. */
class Cache {
  /** @param {number} most */
  constructor(most) {
    this.most = most;
    /** @type {Map<string, Promise<Blob | null>>} */
    this.kept = new Map();
  }

  /** @param {string} path @param {Query} query @returns {Promise<Blob | null>} */
  get(path, query) {
    const key = `${path}?${JSON.stringify(query)}`;
    const found = this.kept.get(key) ?? getPicture(path, query).catch(() => null);
    this.kept.delete(key);
    this.kept.set(key, found);
    if (this.kept.size > this.most) {
      const [first] = this.kept.keys();
      this.kept.delete(first);
    }
    return found;
  }
}

const cache = new Cache(300);

export class Picture {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {{path: string, query: Query} | null} */
    this.wanted = null;
    this.isBusy = false;
    /** Called with whether there is a picture, when one was painted or is not there. */
    this.onShown = (/** @type {boolean} */ _isThere) => {};
  }

  /**
   * Show a picture as soon as it is here, unless another one is wanted by then.
   *
   * @param {string} path
   * @param {Query} query
   */
  show(path, query) {
    this.wanted = { path, query };
    if (!this.isBusy) this.#work();
  }

  clear() {
    this.wanted = null;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    delete this.canvas.dataset.row;
  }

  /** @param {string} path @param {Query} query of what will be wanted soon */
  static fetchSoon(path, query) {
    cache.get(path, query);
  }

  async #work() {
    this.isBusy = true;
    while (this.wanted) {
      const { path, query } = this.wanted;
      const bitmap = await decoded(await cache.get(path, query));
      const isStill = this.wanted?.path === path && this.wanted.query === query;
      // What was wanted a moment ago is painted, too: while one looks for a place, it
      // shows the way.
      if (this.wanted) this.#paint(bitmap, query.row);
      if (isStill) this.wanted = null;
      bitmap?.close();
    }
    this.isBusy = false;
  }

  /** @param {ImageBitmap | null} bitmap @param {string | number} row */
  #paint(bitmap, row) {
    const { canvas, context } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (bitmap) context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    canvas.dataset.row = String(row);
    this.onShown(bitmap !== null);
  }
}

/** @param {Blob | null} blob @returns {Promise<ImageBitmap | null>} null: no picture */
async function decoded(blob) {
  try {
    return blob && (await createImageBitmap(blob));
  } catch {
    return null; // Its row says so; the server's log names the image.
  }
}
