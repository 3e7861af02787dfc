// @ts-check
/** A steering wheel that turns, with a mark around it for each who steers. */

import { element } from "./parts.js";

const FULL_LOCK_DEG = 110; // that the drawn wheel turns
const NAMESPACE = "http://www.w3.org/2000/svg";

/**
 * @param {string} name of the element
 * @param {Record<string, string>} attributes
 * @param {Element[]} children
 * @returns {Element}
 */
function shape(name, attributes, children = []) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/**
 * Draw the wheel.
 *
 * @param {Element} svg to draw it into
 * @param {string[]} marks a class of each mark, which gives it its colour
 */
export function drawWheel(svg, marks) {
  svg.setAttribute("viewBox", "-122 -122 244 230");
  svg.append(
    shape("path", { class: "scale", d: "M -103 37.5 A 110 110 0 1 1 103 37.5" }),
    shape("path", { class: "scale", d: "M 0 -103 V -117" }),
    shape("g", { id: "wheel-turning" }, [
      shape("circle", { class: "rim", r: "76" }),
      shape("path", { class: "spokes", d: "M -70 0 H 70 M 0 0 V 70" }),
      shape("circle", { class: "hub", r: "20" }),
      shape("path", { class: "top", d: "M -10 -75.4 A 76 76 0 0 1 10 -75.4" }),
    ]),
    ...marks.map((mark) => {
      const d = "M 0 -92 l 11 -24 h -22 z";
      return shape("path", { id: `mark-${mark}`, class: `mark ${mark}`, d });
    }),
  );
}

/** @param {string} id @param {number} steering -1 to 1, + is right */
function turn(id, steering) {
  element(id).setAttribute("transform", `rotate(${FULL_LOCK_DEG * steering})`);
}

/** @param {number} steering -1 to 1 */
export function turnWheel(steering) {
  turn("wheel-turning", steering);
}

/** @param {string} mark as drawWheel was given it @param {number | null} steering */
export function turnMark(mark, steering) {
  turn(`mark-${mark}`, steering ?? 0);
  element(`mark-${mark}`).style.display = steering === null ? "none" : "";
}
