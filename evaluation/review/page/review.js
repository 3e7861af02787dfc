// @ts-check
/** The review: which recording and row is looked at, and what a person does with it. */

import { getJson } from "./api.js";
import { Book } from "./book.js";
import { listenToKeys } from "./keys.js";
import { MomentList, Tabs, make, showMarks } from "./lists.js";
import { Marker } from "./marker.js";
import { ModelPanel, colourOf } from "./models.js";
import { copyOnClick, element, write } from "./parts.js";
import { Player, RATES } from "./player.js";
import { RowView } from "./row_view.js";
import { showSummary } from "./summary.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./api.js").Moment} Moment */
/** @typedef {import("./api.js").State} State */

const BUSY_MS = 400; // between two looks at what the server knows, while it works
const IDLE_MS = 1500;
const AROUND_ROWS = 80; // that are seen around a moment
const SECOND_ROWS = 10; // of a step with Shift
/** @type {State | null} */
let state = null;
/** @type {Book[]} */
let books = [];
let isLost = false;
const which = /** @type {HTMLSelectElement} */ (element("recording"));
const rate = /** @type {HTMLSelectElement} */ (element("rate"));
const jumpRow = /** @type {HTMLInputElement} */ (element("jump-row"));
const view = new RowView();
const player = new Player(showRow);
const timeline = new Timeline(
  /** @type {HTMLCanvasElement} */ (element("overview")),
  /** @type {HTMLCanvasElement} */ (element("detail")),
  {
    seek: (row) => {
      player.pause();
      if (timeline.selection) marker.select(null);
      player.seek(row);
    },
    select: (first, last) => {
      marker.select([first, last]);
      player.pause();
      player.seek(first);
    },
    hover: (row, x) => {
      const book = current();
      if (book) view.showThumb(book, row, x, timeline.detail.clientWidth);
    },
    leave: () => view.hideThumb(),
    look: showModels,
  },
);
const marker = new Marker(timeline, player, current, showStatus);
const help = /** @type {HTMLDialogElement} */ (element("help-dialog"));
const tabs = new Tabs(showPanel);
const moments = new MomentList(showMoment);
const models = new ModelPanel(() => {
  showCurves();
  showPanel();
});

/** @returns {Book | null} the recording that is looked at, once its rows are here */
function current() {
  const book = books[which.selectedIndex];
  return book?.isOpen ? book : null;
}

// --- From the server -----------------------------------------------------------------

async function poll() {
  const book = current();
  try {
    /** @type {import("./api.js").Query} */
    const query = book ? { recording: book.number, row: player.row } : {};
    /** @type {State | null} */
    const news = await getJson("/state", query);
    isLost = news === null;
    if (news) await take(news);
  } catch {
    isLost = true;
  }
  showStatus();
  const isBusy = Boolean(state?.doing) || !current() || isLost;
  setTimeout(poll, isBusy ? BUSY_MS : IDLE_MS);
}

/** @param {State} news */
async function take(news) {
  const isFirst = state === null;
  state = news;
  if (isFirst) {
    books = news.recordings.map((_, number) => new Book(number));
    for (const book of books) {
      book.marks.onChange = () => {
        if (book === current()) showMarked();
        showStatus();
      };
    }
    which.replaceChildren(...news.recordings.map(({ name }) => make("option", name)));
    element("which").hidden = news.recordings.length < 2 && innerWidth < 620;
  }
  const book = books[which.selectedIndex];
  if (!book) return;
  if (!book.isOpen) view.showFirst(book);
  const recording = news.recordings[book.number];
  // Before anything else of it is brought: what a person does is not forgotten then.
  if (await book.open(recording)) openBook(book);
  view.models = news.models;
  models.make(news);
  if (!book.isOpen) return;
  const details = book.detailsVersion;
  const isNew = await book.follow(recording);
  let hasLooked = false;
  for (const model of news.models.keys()) {
    hasLooked = (await book.followModel(model, recording)) || hasLooked;
  }
  if (hasLooked) showCurves();
  if (isNew || hasLooked) showPanel();
  if (details !== book.detailsVersion || isNew) {
    timeline.dirty();
    if (book === current()) view.showNumbers(book, player.row);
  }
}

/** @param {Book} book */
function openBook(book) {
  moments.forget();
  timeline.open(book);
  player.open(book, 0);
  marker.select(null);
  showCurves();
  showMarked();
}

// --- The row that is looked at -------------------------------------------------------

/** @param {number} row */
function showRow(row) {
  const book = current();
  if (!book) return;
  timeline.follow(row);
  view.show(book, player);
  if (tabs.panel === "models") models.look(book, row);
}

function showCurves() {
  const book = current();
  if (!book) return;
  timeline.curves = models.curves(book);
  timeline.dirty();
  showLegend();
  view.showNumbers(book, player.row);
}

function showLegend() {
  /** @type {[string, string, boolean][]} */
  const entries = [
    ["person", "steering", false],
    ["taught", "taught", false],
    ...(state?.models ?? []).map(
      (name, model) =>
        /** @type {[string, string, boolean]} */ ([colourOf(model), name, false]),
    ),
    ["go", "speed", false],
    ["validated", "validation", true],
    ["line", "beside validation", true],
    ["unused", "not used", true],
    ["out", "left out", true],
    ["only", "only this", true],
    ["hard", "hard", true],
  ];
  const items = entries.map(([colour, text, isArea]) => {
    const item = make("li");
    const swatch = make("i", "", isArea ? "area" : "");
    swatch.style.setProperty("--own", `var(--${colour})`);
    item.append(swatch, text);
    return item;
  });
  element("legend").replaceChildren(...items);
}

// --- Lists and status ----------------------------------------------------------------

function showPanel() {
  const book = current();
  if (!book || !state) return;
  if (tabs.panel === "moments") moments.show(book, state.kinds, state.doing);
  if (tabs.panel === "marks") showMarks(book, showStretch, (i) => book.marks.remove(i));
  if (tabs.panel === "models") {
    models.look(book, player.row);
    showModels();
  }
  if (tabs.panel === "summary") showSummary(book, state.train);
}

function showModels() {
  const book = current();
  if (!book || !state || tabs.panel !== "models") return;
  models.show(book, state, timeline.from, timeline.until);
}

/** Show what depends on marks. */
function showMarked() {
  const book = current();
  if (!book) return;
  const { canUndo, canRedo } = book.marks;
  /** @type {HTMLButtonElement} */ (element("undo")).disabled = !canUndo;
  /** @type {HTMLButtonElement} */ (element("redo")).disabled = !canRedo;
  timeline.dirty();
  showPanel();
}

function showStatus() {
  const status = element("status");
  const marks = books[which.selectedIndex]?.marks;
  const recording = state?.recordings[which.selectedIndex];
  const count = marks?.marks.length ?? 0;
  const number = count === 1 ? "1 mark" : `${count} marks`;
  /** @type {Record<string, string>} */
  const texts = {
    saved: `Saved: ${number}`,
    saving: "Saving…",
    unsaved: `Not saved: ${number}`,
  };
  let kind = marks?.saving ?? "saved";
  let text = texts[kind];
  if (isLost) {
    kind = "unsaved";
    text = "Connection lost: does review.py still run?";
  } else if (!current()) {
    kind = recording?.fault ? "unsaved" : "saving";
    text = recording?.fault ? "It cannot be read" : "Reading the recording…";
  } else if (state?.doing) {
    text += ` · ${state.doing}, ${Math.round(100 * state.part)} %`;
  }
  status.dataset.kind = kind;
  write("status", text);
  const fault = marks?.fault || recording?.fault || state?.fault || "";
  write("fault", fault);
  element("fault").hidden = !fault;
}

/** @param {Moment} moment */
function showMoment(moment) {
  const book = current();
  if (!book) return;
  player.pause();
  const [first, last] = book.rowsOf(moment);
  marker.setMoment([first, last]);
  const around = Math.max(AROUND_ROWS, last - first);
  if (timeline.until - timeline.from > 4 * around) {
    timeline.see(first - around, last + around);
  }
  player.seek(book.rowOf(moment.row));
  showPanel();
}

/** @param {{from_row: number, to_row: number}} stretch */
function showStretch(stretch) {
  const book = current();
  if (!book) return;
  const [first, last] = book.rowsOf(stretch);
  marker.select([first, last]);
  const around = Math.max(AROUND_ROWS, last - first);
  timeline.see(first - around, last + around);
  player.pause();
  player.seek(first);
}

// --- Keys and buttons ----------------------------------------------------------------

function forget() {
  moments.forget();
  marker.setMoment(null);
  showPanel();
}

/** @param {number} way */
function nextMoment(way) {
  tabs.open(0);
  moments.step(way);
}

/** @param {(book: Book, row: number) => void} act on the row that is looked at */
function onRow(act) {
  const book = current();
  if (book) act(book, player.row);
}

/** @type {Record<string, import("./keys.js").Command>} */
const COMMANDS = {
  " ": { keys: "Space", text: "play, pause", act: () => player.toggle() },
  ArrowLeft: { keys: "← →", text: "one row back, on", act: () => player.step(-1) },
  ArrowRight: { keys: "", text: "", act: () => player.step(1) },
  "Shift+ArrowLeft": {
    keys: "Shift ← →",
    text: "ten rows, about a second",
    act: () => player.step(-SECOND_ROWS),
  },
  "Shift+ArrowRight": { keys: "", text: "", act: () => player.step(SECOND_ROWS) },
  Home: { keys: "Home End", text: "first row, last row", act: () => player.seek(0) },
  End: { keys: "", text: "", act: () => player.seek(Infinity) },
  "[": { keys: "[ ]", text: "play slower, faster", act: () => player.changeRate(-1) },
  "]": { keys: "", text: "", act: () => player.changeRate(1) },
  g: { keys: "G", text: "go to a row of the log", act: () => jumpRow.select() },
  n: { keys: "N P", text: "next moment, moment before", act: () => nextMoment(1) },
  p: { keys: "", text: "", act: () => nextMoment(-1) },
  i: { keys: "I O", text: "the stretch begins here, ends here", act: () => marker.setBegin() },
  o: { keys: "", text: "", act: () => marker.setEnd() },
  Escape: { keys: "Esc", text: "forget the stretch", act: forget },
  x: { keys: "X", text: "leave the stretch out", act: () => marker.ask("leave-out") },
  u: { keys: "U", text: "use only this stretch", act: () => marker.ask("only") },
  h: { keys: "H", text: "a hard place, drawn more often", act: () => marker.ask("hard") },
  z: { keys: "Z Y", text: "undo, redo", act: () => current()?.marks.undo() },
  y: { keys: "", text: "", act: () => current()?.marks.redo() },
  "Ctrl+z": { keys: "", text: "", act: () => current()?.marks.undo() },
  "Ctrl+y": { keys: "", text: "", act: () => current()?.marks.redo() },
  "Ctrl+Shift+Z": { keys: "", text: "", act: () => current()?.marks.redo() },
  d: { keys: "D", text: "discard the last take", act: () => marker.askDiscard() },
  "+": { keys: "+ − 0", text: "come closer, go back, see all", act: () => timeline.zoom(0.5) },
  "-": { keys: "", text: "", act: () => timeline.zoom(2) },
  0: { keys: "", text: "", act: () => timeline.see(0, current()?.count ?? 1) },
  t: {
    keys: "T M",
    text: "what the model looks at, the next model",
    act: () => onRow((book, row) => view.toggleHeat(book, row)),
  },
  m: { keys: "", text: "", act: () => onRow((book, row) => view.nextModel(book, row)) },
  r: { keys: "R", text: "the next recording", act: nextRecording },
  "?": { keys: "?", text: "these keys", act: () => help.showModal() },
};

function nextRecording() {
  which.selectedIndex = (which.selectedIndex + 1) % Math.max(1, which.length);
  changeRecording();
}

function changeRecording() {
  const book = current();
  player.pause();
  if (book) openBook(book);
  else view.clear();
  showStatus();
  showPanel();
}

/** @type {[string, () => void][]} */
const BUTTONS = [
  ["undo", COMMANDS.z.act],
  ["redo", COMMANDS.y.act],
  ["discard", () => marker.askDiscard()],
  ["help", COMMANDS["?"].act],
  ["before", () => nextMoment(-1)],
  ["back", () => player.step(-1)],
  ["play", () => player.toggle()],
  ["on", () => player.step(1)],
  ["after", () => nextMoment(1)],
  ["begin", () => marker.setBegin()],
  ["end", () => marker.setEnd()],
];
for (const [id, act] of BUTTONS) element(id).addEventListener("click", act);
for (const button of document.querySelectorAll("#controls [data-kind]")) {
  const { kind } = /** @type {HTMLElement} */ (button).dataset;
  button.addEventListener("click", () => marker.ask(kind ?? ""));
}
which.addEventListener("change", changeRecording);
rate.replaceChildren(...RATES.map((each) => make("option", `${each}×`)));
rate.addEventListener("change", () => {
  player.rate = RATES[rate.selectedIndex];
});
jumpRow.addEventListener("change", () => {
  const book = current();
  const line = Number(jumpRow.value);
  if (book && Number.isFinite(line)) player.seek(book.rowOf(line));
});
jumpRow.addEventListener("keydown", ({ key }) => {
  if (key === "Enter") jumpRow.blur();
});
player.onPlaying = () => {
  rate.selectedIndex = RATES.indexOf(player.rate);
  const button = element("play");
  button.setAttribute("aria-pressed", String(player.isPlaying));
};
listenToKeys(COMMANDS, [marker.noteDialog, marker.discardDialog, help]);
copyOnClick(element("copy"), element("command"));
player.onPlaying();
showLegend();
poll();
