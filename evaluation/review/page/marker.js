// @ts-check
/** Choosing a stretch, and marking it: by pointer, by keys, with a word why. */

import { make, rowsText } from "./lists.js";
import { element, write } from "./parts.js";

/** @typedef {import("./book.js").Book} Book */
/** @typedef {import("./player.js").Player} Player */
/** @typedef {import("./timeline.js").Timeline} Timeline */

/** Words that say why a stretch is left out. */
const WORDS = ["crash", "off the road", "standing", "wrong way", "careless"];
/** @type {Record<string, string>} */
const TITLES = { "leave-out": "Leave out", only: "Use only this", hard: "Hard place" };

/** @param {string} id @returns {HTMLInputElement} */
const input = (id) => /** @type {HTMLInputElement} */ (element(id));
/** @param {string} id @returns {HTMLDialogElement} */
const dialogOf = (id) => /** @type {HTMLDialogElement} */ (element(id));

export class Marker {
  /**
   * @param {Timeline} timeline
   * @param {Player} player
   * @param {() => Book | null} current the recording that is looked at
   * @param {() => void} onFault something is to be said
   */
  constructor(timeline, player, current, onFault) {
    this.timeline = timeline;
    this.player = player;
    this.current = current;
    this.onFault = onFault;
    /** @type {number | null} The beginning of a stretch that has no end yet. */
    this.begin = null;
    this.kind = "leave-out";
    this.noteDialog = dialogOf("note-dialog");
    this.discardDialog = dialogOf("discard-dialog");
    this.noteDialog.addEventListener("close", () => {
      if (this.noteDialog.returnValue === "mark") this.#mark();
    });
    this.discardDialog.addEventListener("close", () => {
      if (this.discardDialog.returnValue === "discard") this.#discard();
    });
    for (const word of WORDS) {
      const button = make("button", word);
      /** @type {HTMLButtonElement} */ (button).type = "button";
      button.addEventListener("click", () => {
        input("note").value = word;
        input("note").focus();
      });
      element("words").append(button);
    }
  }

  /** Say which stretch would be marked. */
  show() {
    const book = this.current();
    const { selection, moment } = this.timeline;
    let text = "this row";
    if (book && selection) text = this.#text(book, selection);
    else if (book && this.begin !== null) {
      text = `row ${book.line[this.begin]} to …`;
    } else if (book && moment) text = `${this.#text(book, moment)} (moment)`;
    write("selection", text);
    this.timeline.dirty();
  }

  /** @param {[number, number] | null} selection */
  select(selection) {
    this.begin = null;
    this.timeline.selection = selection;
    this.show();
  }

  /** @param {[number, number] | null} moment to be marked where nothing is selected */
  setMoment(moment) {
    this.timeline.moment = moment;
    this.select(null);
  }

  setBegin() {
    const end = this.timeline.selection?.[1];
    const { row } = this.player;
    this.select(end !== undefined && end > row ? [row, end] : null);
    this.begin = this.timeline.selection ? null : row;
    this.show();
  }

  setEnd() {
    const { row } = this.player;
    const first = this.begin ?? this.timeline.selection?.[0] ?? row;
    this.select([Math.min(first, row), Math.max(first, row)]);
  }

  /** @param {string} kind of the mark, about which a word is asked for */
  ask(kind) {
    const book = this.current();
    if (!book) return;
    this.player.pause();
    this.kind = kind;
    write("note-title", TITLES[kind]);
    write("note-rows", this.#text(book, this.#stretch()));
    input("note").value = "";
    element("words").hidden = kind !== "leave-out";
    this.noteDialog.returnValue = "";
    this.noteDialog.showModal();
    input("note").focus();
  }

  askDiscard() {
    if (!this.current()) return;
    this.player.pause();
    input("discard-seconds").value = "";
    this.discardDialog.returnValue = "";
    this.discardDialog.showModal();
  }

  /** @returns {[number, number]} the stretch to mark */
  #stretch() {
    const { selection, moment } = this.timeline;
    return selection ?? moment ?? [this.player.row, this.player.row];
  }

  /** @param {Book} book @param {[number, number]} stretch @returns {string} */
  #text(book, [first, last]) {
    return rowsText({ from_row: book.line[first], to_row: book.line[last] });
  }

  #mark() {
    const book = this.current();
    if (!book) return;
    const [first, last] = this.#stretch();
    const rows = { from_row: book.line[first], to_row: book.line[last] };
    const note = input("note").value.trim();
    book.marks.add({ ...rows, mark: this.kind, note });
    this.setMoment(null);
  }

  #discard() {
    const book = this.current();
    const text = input("discard-seconds").value.trim().replace(",", ".");
    const seconds = text === "" ? null : Number(text);
    if (!book) return;
    if (seconds === null || seconds > 0) book.marks.discard(seconds);
    else {
      book.marks.fault = `${text} is no number of seconds above 0`;
      this.onFault();
    }
  }
}
