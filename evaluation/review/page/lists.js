// @ts-check
/** The lists beside the picture: what to look at first, and the marks. */

import { element } from "./parts.js";

/** @typedef {import("./api.js").MarkDocument} MarkDocument */
/** @typedef {import("./api.js").Moment} Moment */
/** @typedef {import("./book.js").Book} Book */

const FIRST = 30; // moments that are shown before one asks for more

/** @type {Record<string, string>} what marks are called */
export const MARK_NAMES = {
  "leave-out": "left out",
  only: "only this is used",
  hard: "hard place",
};

/**
 * @param {string} name of the element
 * @param {string} text
 * @param {string} kind its class
 * @returns {HTMLElement}
 */
export function make(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** @param {{from_row: number, to_row: number}} stretch @returns {string} */
export function rowsText({ from_row, to_row }) {
  return from_row === to_row ? `row ${from_row}` : `rows ${from_row}–${to_row}`;
}

/** Show one panel of the tabs, and let arrows go from one to the other. */
export class Tabs {
  /** @param {() => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    this.tabs = /** @type {HTMLElement[]} */ ([...element("tabs").children]);
    for (const [place, tab] of this.tabs.entries()) {
      tab.addEventListener("click", () => this.open(place));
      tab.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!way) return;
        event.preventDefault();
        event.stopPropagation();
        this.open((place + way + this.tabs.length) % this.tabs.length);
        this.tabs[this.place].focus();
      });
    }
    this.place = 0;
    this.open(0);
  }

  /** @param {number} place */
  open(place) {
    this.place = place;
    for (const [i, tab] of this.tabs.entries()) {
      const isOpen = i === place;
      tab.setAttribute("aria-selected", String(isOpen));
      tab.tabIndex = isOpen ? 0 : -1;
      element(tab.getAttribute("aria-controls") ?? "").hidden = !isOpen;
    }
    this.onChange();
  }

  /** @returns {string} id of the panel that is open */
  get panel() {
    return this.tabs[this.place].getAttribute("aria-controls") ?? "";
  }
}

export class MomentList {
  /** @param {(moment: Moment) => void} onChoose */
  constructor(onChoose) {
    this.onChoose = onChoose;
    /** @type {Moment[]} */
    this.moments = [];
    this.place = -1;
    this.most = FIRST;
  }

  /**
   * @param {Book} book
   * @param {Record<string, string>} kinds in words
   * @param {string} doing what is still done, "" for nothing
   */
  show(book, kinds, doing) {
    const isOther = this.moments !== book.moments;
    const chosen = this.moments[this.place];
    this.moments = book.moments;
    if (isOther) {
      this.place = this.moments.findIndex(
        (each) => each.row === chosen?.row && each.kind === chosen.kind,
      );
    }
    const list = element("moment-list");
    const out = book.leftOut();
    const shown = this.moments.slice(0, this.most);
    list.replaceChildren(...shown.map((each, i) => this.#item(each, i, book, out, kinds)));
    const left = this.moments.length - shown.length;
    if (left > 0) {
      const more = /** @type {HTMLButtonElement} */ (make("button", `${left} more`));
      more.type = "button";
      more.addEventListener("click", () => {
        this.most += 2 * FIRST;
        this.show(book, kinds, doing);
      });
      const item = make("li");
      item.append(more);
      list.append(item);
    }
    const found = `${this.moments.length} moments, the plainest first.`;
    const none = doing ? "Nothing found yet." : "Nothing is suspicious.";
    element("moments-text").textContent = this.moments.length ? found : none;
  }

  /** @param {number} way 1 or -1 @returns {boolean} whether there is one */
  step(way) {
    const place = this.place + way;
    if (!this.moments[place]) return false;
    this.choose(place);
    return true;
  }

  /** @param {number} place */
  choose(place) {
    this.place = place;
    this.most = Math.max(this.most, place + 1);
    this.onChoose(this.moments[place]);
    const button = element("moment-list").children[place]?.querySelector("button");
    button?.scrollIntoView({ block: "nearest" });
  }

  /** Nothing is chosen any more. */
  forget() {
    this.place = -1;
  }

  /**
   * @param {Moment} moment
   * @param {number} place
   * @param {Book} book
   * @param {Uint8Array} out
   * @param {Record<string, string>} kinds
   * @returns {HTMLElement}
   */
  #item(moment, place, book, out, kinds) {
    const button = /** @type {HTMLButtonElement} */ (make("button"));
    button.type = "button";
    const [first, last] = book.rowsOf(moment);
    const isOut = out.subarray(first, last + 1).every((flag) => flag);
    const name = make("strong", kinds[moment.kind] ?? moment.kind, isOut ? "left-out" : "");
    button.append(name, make("span", rowsText(moment), "rows"), make("span", moment.reason));
    if (isOut) button.setAttribute("aria-label", `left out: ${button.textContent}`);
    if (place === this.place) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.choose(place));
    const item = make("li");
    item.append(button);
    return item;
  }
}

/**
 * Show the marks of a recording.
 *
 * @param {Book} book
 * @param {(mark: MarkDocument) => void} onShow
 * @param {(place: number) => void} onRemove
 */
export function showMarks(book, onShow, onRemove) {
  const { marks } = book.marks;
  const items = marks.map((mark, place) => {
    const item = make("li");
    item.dataset.mark = mark.mark;
    const text = make("p");
    const note = mark.note ? `: ${mark.note}` : "";
    text.append(make("strong", MARK_NAMES[mark.mark]), `${note} `);
    text.append(make("span", rowsText(mark), "rows"));
    const show = make("button", "Show");
    const remove = make("button", "Remove");
    for (const button of [show, remove]) {
      /** @type {HTMLButtonElement} */ (button).type = "button";
      button.setAttribute("aria-label", `${button.textContent} ${rowsText(mark)}`);
    }
    show.addEventListener("click", () => onShow(mark));
    remove.addEventListener("click", () => onRemove(place));
    item.append(text, show, remove);
    return item;
  });
  element("mark-list").replaceChildren(...items);
  const none = "No marks yet: choose a stretch, then leave it out or call it hard.";
  const some = "The oldest first, as in driving_log.marks.csv beside the log.";
  element("marks-text").textContent = marks.length ? some : none;
}
