// @ts-check
/** A recording that is played: where it is, on a bar, and how to get elsewhere. */

import { clock, element } from "./parts.js";

/** @typedef {import("./panel.js").Playing} Playing */

const STEP_S = 1; // of an arrow key
const JUMP_S = 1; // from one state to the next; what is shown is not a stretch then

/** @type {Record<string, number>} Keys by their place, and where they lead. */
const WAY_OF_KEY = { ArrowLeft: -1, ArrowRight: 1 };

export class Playback {
  /** @param {(message: Record<string, unknown>) => void} send to the server */
  constructor(send) {
    this.send = send;
    this.bar = /** @type {HTMLInputElement} */ (element("seek"));
    this.isDragged = false;
    this.atS = 0;
    this.bar.addEventListener("pointerdown", () => (this.isDragged = true));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.bar.addEventListener(end, () => (this.isDragged = false));
    }
    this.bar.addEventListener("input", () =>
      this.#seek({ at_s: Number(this.bar.value) }),
    );
  }

  /** @param {Record<string, number>} place */
  #seek(place) {
    this.send({ type: "seek", ...place });
  }

  /**
   * Go elsewhere, as a key says.
   *
   * @param {string} code of the key
   * @param {boolean} isFine whether to go by a row
   * @returns {boolean} whether the key is one of these
   */
  key(code, isFine) {
    const way = WAY_OF_KEY[code];
    if (way) this.#seek(isFine ? { by_rows: way } : { by_s: way * STEP_S });
    if (code === "Home") this.#seek({ at_s: 0 });
    if (code === "End") this.#seek({ at_s: Number(this.bar.max) });
    return Boolean(way) || code === "Home" || code === "End";
  }

  /**
   * Note a state.
   *
   * @param {Playing} news
   * @returns {boolean} whether it goes on from the state before
   */
  take(news) {
    const step = news.at_s - this.atS;
    this.atS = news.at_s;
    return step >= 0 && step < JUMP_S;
  }

  /** @param {Playing} news @param {boolean} isOpen whether there is a server to ask */
  show(news, isOpen) {
    const said = `${clock(news.at_s)} of ${clock(news.length_s)}`;
    this.bar.disabled = !isOpen;
    this.bar.max = String(news.length_s);
    this.bar.setAttribute("aria-valuetext", said);
    element("place-value").textContent = said;
    if (!this.isDragged) this.bar.value = String(news.at_s);
  }
}
