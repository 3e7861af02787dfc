// @ts-check
/** What the page asks the server for, and how it reads the answers. */

/** @typedef {Record<string, string | number>} Query */
/** @typedef {Float32Array<ArrayBuffer>} Floats */
/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {Floats | Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Bytes} Numbers */

/**
 * @typedef {object} MarkDocument
 * @property {number} from_row a line of the log
 * @property {number} to_row
 * @property {string} mark leave-out, only or hard
 * @property {string} note
 */

/**
 * @typedef {object} MarksDocument
 * @property {string} version
 * @property {MarkDocument[]} marks
 * @property {string} fault
 */

/**
 * @typedef {object} RecordingState
 * @property {string} name
 * @property {string} folder
 * @property {boolean} is_read
 * @property {boolean} is_checked
 * @property {string} fault
 * @property {string} marks the version of the marks on the disk
 * @property {string} details the version that the details are made of
 * @property {number} moments
 * @property {boolean} has_moments
 * @property {number[]} steering for how many rows each model has looked
 * @property {boolean[]} replays whether each model has driven it again
 */

/**
 * @typedef {object} State
 * @property {RecordingState[]} recordings
 * @property {string[]} models
 * @property {number} num_models
 * @property {string} fault
 * @property {string} doing
 * @property {number} part
 * @property {[number, number]} label seconds before and after, that it is averaged over
 * @property {Record<string, string>} kinds of moments, in words
 * @property {string} train the command to go on with
 */

/**
 * @typedef {object} Moment
 * @property {number} from_row a line of the log
 * @property {number} to_row
 * @property {number} row
 * @property {string} kind
 * @property {string} reason
 * @property {number} score
 */

const TOKEN = new URLSearchParams(location.search).get("token");
/** @type {Record<string, {new (buffer: ArrayBuffer, at: number, count: number): Numbers}>} */
const KINDS = {
  "<f4": Float32Array,
  "<f8": Float64Array,
  "<i4": Int32Array,
  "|u1": Uint8Array,
};

/** @param {string} path @param {Query} query @returns {string} */
export function address(path, query = {}) {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) all.set(name, String(value));
  if (TOKEN !== null) all.set("token", TOKEN);
  return `${path}?${all}`;
}

/**
 * @param {string} path
 * @param {Query} query
 * @returns {Promise<Response | null>} null: it is not there, or not yet
 */
async function get(path, query) {
  const answer = await fetch(address(path, query));
  return answer.ok ? answer : null;
}

/** @param {string} path @param {Query} query @returns {Promise<any>} null: not there */
export async function getJson(path, query = {}) {
  return (await get(path, query))?.json() ?? null;
}

/**
 * @param {string} path
 * @param {Query} query
 * @returns {Promise<{head: any, arrays: Record<string, Numbers>} | null>} null: not there
 */
export async function getPacked(path, query) {
  const buffer = await (await get(path, query))?.arrayBuffer();
  return buffer ? unpacked(buffer) : null;
}

/** @param {string} path @param {Query} query @returns {Promise<Blob | null>} */
export async function getPicture(path, query) {
  return (await get(path, query))?.blob() ?? null;
}

/**
 * @param {"PUT" | "POST"} method
 * @param {string} path
 * @param {Query} query
 * @param {unknown} body
 * @returns {Promise<{status: number, document: MarksDocument}>}
 */
export async function change(method, path, query, body) {
  const answer = await fetch(address(path, query), {
    method,
    body: JSON.stringify(body),
  });
  const isJson = answer.headers.get("content-type") === "application/json";
  const said = isJson ? {} : { fault: await answer.text() };
  return { status: answer.status, document: isJson ? await answer.json() : said };
}

/**
 * @param {ArrayBuffer} buffer a length, a JSON document, arrays
 * @returns {{head: any, arrays: Record<string, Numbers>}}
 */
function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(buffer, 4, length));
  const head = JSON.parse(text);
  /** @type {Record<string, Numbers>} */
  const arrays = {};
  for (const [name, kind, place, count] of head.arrays) {
    arrays[name] = new KINDS[kind](buffer, 4 + length + place, count);
  }
  return { head, arrays };
}
