// @ts-check
/** What the marks change: rows, minutes, steering, and how to go on. */

import { make } from "./lists.js";
import { element, write } from "./parts.js";

/** @typedef {import("./book.js").Book} Book */

/** @param {number} value @returns {string} */
function count(value) {
  return value.toLocaleString("en");
}

/** @param {Book} book @param {string} command to go on with */
export function showSummary(book, command) {
  write("command", command);
  const { changes } = book;
  if (!changes) return;
  const isCurrent = book.detailsVersion === book.marks.version;
  const now = (/** @type {string} */ text) => (isCurrent ? text : "counting…");
  const minutes = (/** @type {number} */ value) => value.toFixed(1);
  const rows = [
    ["Rows used", count(changes.usable_before), now(count(changes.usable_after))],
    [
      "Minutes",
      minutes(changes.minutes_before),
      now(minutes(changes.minutes_after)),
    ],
    ["Rows marked out", "0", now(count(changes.marked_out))],
    ["Rows marked hard", "0", now(count(changes.hard))],
  ];
  element("summary-rows").replaceChildren(
    ...rows.map(([name, before, after]) => {
      const line = make("tr");
      const head = make("th", name);
      head.setAttribute("scope", "row");
      line.append(head, make("td", before), make("td", after));
      return line;
    }),
  );
  drawHistogram(changes.steering);
}

/** @param {{edges: number[], before: number[], after: number[]}} steering */
function drawHistogram({ edges, before, after }) {
  const canvas = /** @type {HTMLCanvasElement} */ (element("histogram"));
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  const scale = devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(scale, 0, 0, scale, 0, 0);
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`);
  const bottom = height - 18;
  const most = Math.max(1, ...before, ...after);
  const x = (/** @type {number} */ value) => ((value + 1) / 2) * width;
  // By the square root: bends are few, and are what one looks for.
  const y = (/** @type {number} */ rows) => bottom - Math.sqrt(rows / most) * (bottom - 14);
  for (let i = 0; i + 1 < edges.length; i++) {
    const [left, right] = [x(edges[i]) + 1, x(edges[i + 1]) - 1];
    context.fillStyle = colour("person");
    context.fillRect(left, y(after[i]), right - left, bottom - y(after[i]));
    context.strokeStyle = colour("ink");
    context.lineWidth = 1;
    if (before[i]) context.strokeRect(left, y(before[i]), right - left, bottom - y(before[i]));
  }
  context.fillStyle = colour("faint");
  context.font = `12px ${style.fontFamily}`;
  context.fillText("left −1", 0, height - 4);
  context.textAlign = "center";
  context.fillText("0", width / 2, height - 4);
  context.fillText(`most: ${count(most)} rows (√ scale)`, width / 2, 11);
  context.textAlign = "right";
  context.fillText("+1 right", width, height - 4);
}
