// @ts-check
/** Keys of the page: each does what a command of a table says. */

import { make } from "./lists.js";
import { element } from "./parts.js";

/**
 * @typedef {object} Command
 * @property {string} keys as the help shows them; "" where another line tells
 * @property {string} text what they do
 * @property {() => void} act
 */

/**
 * Let keys act, unless somebody types or answers a question.
 *
 * @param {Record<string, Command>} commands by the key as it is typed, letters small;
 *   Ctrl+ and Shift+ stand before it
 * @param {HTMLDialogElement[]} dialogs
 */
export function listenToKeys(commands, dialogs) {
  addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const isTyping = target.matches("input[type=text], select");
    if (isTyping && event.key === "Escape") target.blur();
    if (isTyping || event.altKey || dialogs.some((dialog) => dialog.open)) return;
    const command = commands[nameOf(event)];
    // A button that has the focus is pressed by Space.
    const isPress = event.key === " " && target.matches("button, input");
    if (!command || isPress) return;
    event.preventDefault();
    command.act();
  });
  element("keys").replaceChildren(
    ...Object.values(commands)
      .filter(({ keys }) => keys)
      .flatMap(({ keys, text }) => [make("dt", keys), make("dd", text)]),
  );
}

/** @param {KeyboardEvent} event @returns {string} */
function nameOf({ key, shiftKey, ctrlKey, metaKey }) {
  const control = ctrlKey || metaKey ? "Ctrl+" : "";
  // What is typed with Shift, such as ?, is named without it.
  const isTyped = key.length === 1;
  const shift = shiftKey && (!isTyped || control) ? "Shift+" : "";
  return `${control}${shift}${isTyped ? key.toLowerCase() : key}`;
}
