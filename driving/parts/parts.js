// @ts-check
/** What the scripts of the pages share: elements, text that changes, numbers. */

/** @param {string} id @returns {HTMLElement} */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** @param {number} value @returns {string} with its sign, in columns */
export function signed(value) {
  const text = Math.abs(value).toFixed(2);
  return `${value < 0 && Number(text) ? "−" : "+"}${text}`;
}

/** @param {number} seconds @returns {string} m:ss or h:mm:ss */
export function clock(seconds) {
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const minutes = Math.floor(seconds / 60) % 60;
  const hours = Math.floor(seconds / 3600);
  const rest = two(Math.floor(seconds) % 60);
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** Remembers what is written, so that what has not changed is not touched. */
const written = new Map();

/** @param {string} id @param {string} text */
export function write(id, text) {
  if (written.get(id) === text) return;
  written.set(id, text);
  element(id).textContent = text;
}

/**
 * Let a button copy a text of the page.
 *
 * @param {HTMLElement} button
 * @param {HTMLElement} source of the text
 */
export function copyOnClick(button, source) {
  button.addEventListener("click", async () => {
    // Marked as well: over plain HTTP on a network, browsers let no page copy.
    getSelection()?.selectAllChildren(source);
    const isCopied = await navigator.clipboard
      ?.writeText(source.textContent ?? "")
      .then(() => true, () => false);
    button.textContent = isCopied ? "Copied" : "Press Ctrl+C to copy";
  });
}
