// @ts-check
/** The marks of a recording: changed here, saved at once, undone and done again. */

import { change, getJson } from "./api.js";

/** @typedef {import("./api.js").MarkDocument} MarkDocument */
/** @typedef {import("./api.js").MarksDocument} MarksDocument */
/** @typedef {"saved" | "saving" | "unsaved"} Saving */

const UNANSWERED = "Not saved: review.py does not answer. Does it still run?";

export class MarkBook {
  /** @param {number} number of the recording */
  constructor(number) {
    this.number = number;
    /** @type {MarkDocument[]} The newest last. */
    this.marks = [];
    /** The version of the marks that the server has, "" before they are read. */
    this.version = "";
    /** @type {Saving} */
    this.saving = "saved";
    /** What went wrong last, "" for nothing. */
    this.fault = "";
    /** @type {MarkDocument[][]} */
    this.past = [];
    /** @type {MarkDocument[][]} */
    this.future = [];
    /** @type {MarkDocument[]} What the server has. */
    this.kept = [];
    /** Called when anything of it has changed. */
    this.onChange = () => {};
    /** @type {Promise<void> | null} */
    this.working = null;
  }

  get canUndo() {
    return this.past.length > 0 || this.marks.length > 0;
  }

  get canRedo() {
    return this.future.length > 0;
  }

  /**
   * Take what was changed elsewhere, and save what could not be saved before.
   *
   * @param {string} version on the disk
   * @returns {Promise<boolean>} whether anything is new
   */
  async follow(version) {
    if (this.saving === "unsaved") await this.#save();
    if (this.saving !== "saved" || version === this.version) return false;
    const document = await getJson("/marks", { recording: this.number });
    if (!document || this.saving !== "saved") return false;
    this.#take(document);
    return true;
  }

  /** @param {MarkDocument} mark */
  add(mark) {
    this.#set([...this.marks, mark]);
  }

  /** @param {number} place */
  remove(place) {
    this.#set(this.marks.filter((_, i) => i !== place));
  }

  /** Take the newest change back; after a reload, the newest mark. */
  undo() {
    if (!this.canUndo) return;
    this.future.push(this.marks);
    this.marks = this.past.pop() ?? this.marks.slice(0, -1);
    this.#save();
  }

  redo() {
    const next = this.future.pop();
    if (!next) return;
    this.past.push(this.marks);
    this.marks = next;
    this.#save();
  }

  /**
   * Leave out the newest take.
   *
   * @param {number | null} seconds of its end; null: all of it
   */
  async discard(seconds) {
    await this.working;
    if (!this.version && !(await this.#readFirst())) return;
    await this.#ask("POST", "/discard", { seconds }, true);
  }

  /** @param {MarkDocument[]} marks */
  #set(marks) {
    this.past.push(this.marks);
    this.future = [];
    this.marks = marks;
    this.#save();
  }

  /** @returns {Promise<void>} */
  #save() {
    this.saving = "saving";
    this.fault = "";
    this.onChange();
    this.working ??= this.#saveAll().finally(() => {
      this.working = null;
    });
    return this.working;
  }

  async #saveAll() {
    for (let sent = null; sent !== this.marks && this.saving === "saving"; ) {
      if (!this.version && !(await this.#readFirst())) return;
      sent = this.marks;
      await this.#ask("PUT", "/marks", { marks: sent }, false);
    }
  }

  /**
   * Read what was marked before: what is marked here already comes behind it.
   *
   * @returns {Promise<boolean>} whether it is read
   */
  async #readFirst() {
    const query = { recording: this.number };
    const document = await getJson("/marks", query).catch(() => null);
    if (!document) {
      this.#lose();
      return false;
    }
    const behind = (/** @type {MarkDocument[]} */ marks) => [...document.marks, ...marks];
    this.version = document.version;
    this.kept = document.marks;
    this.past = this.past.map(behind);
    this.future = this.future.map(behind);
    this.marks = behind(this.marks);
    return true;
  }

  /** Say that nothing can be saved now; what is marked is saved later. */
  #lose() {
    this.saving = "unsaved";
    this.fault = UNANSWERED;
    this.onChange();
  }

  /**
   * @param {"PUT" | "POST"} method
   * @param {string} path
   * @param {object} body
   * @param {boolean} isStep whether what is answered is a change that can be undone
   */
  async #ask(method, path, body, isStep) {
    const sent = this.marks;
    try {
      const query = { recording: this.number };
      const asked = { version: this.version, ...body };
      const { status, document } = await change(method, path, query, asked);
      if (status === 200) {
        this.version = document.version;
        this.kept = document.marks;
        if (isStep) {
          this.past.push(this.marks);
          this.future = [];
          this.marks = document.marks;
        }
        if (this.marks === sent || isStep) this.saving = "saved";
        this.fault = "";
      } else if (status === 409) {
        this.#take(document);
      } else {
        // What is refused is not there.
        this.marks = this.kept;
        this.past = [];
        this.future = [];
        this.saving = "saved";
        this.fault = `Not saved: ${document.fault}`;
      }
    } catch {
      if (!isStep) this.saving = "unsaved";
      this.fault = UNANSWERED;
    }
    this.onChange();
  }

  /** @param {MarksDocument} document */
  #take(document) {
    this.version = document.version;
    this.marks = this.kept = document.marks;
    this.past = [];
    this.future = [];
    this.saving = "saved";
    this.fault = document.fault;
    this.onChange();
  }
}
