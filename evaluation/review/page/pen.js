// @ts-check
/** Drawing on a canvas in rows of a recording. */

/** @typedef {import("./api.js").Numbers} Numbers */
/** @typedef {import("./series.js").Pyramid} Pyramid */

/** Draws on a canvas in rows from left to right, and pixels from the top. */
export class Pen {
  /**
   * @param {HTMLCanvasElement} canvas cleared
   * @param {(name: string) => string} colour
   * @param {number} from
   * @param {number} until
   */
  constructor(canvas, colour, from, until) {
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.colour = (/** @type {string} */ name) =>
      colour(name === "margin" ? "line" : name);
    this.from = from;
    this.until = until;
    const { clientWidth, clientHeight } = canvas;
    this.width = clientWidth;
    this.height = clientHeight;
    const scale = devicePixelRatio;
    // To set the size clears the canvas, too.
    canvas.width = Math.round(clientWidth * scale);
    canvas.height = Math.round(clientHeight * scale);
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.context.font = `12px ${getComputedStyle(canvas).fontFamily}`;
  }

  /** @param {number} row @returns {number} */
  x(row) {
    return ((row - this.from) / (this.until - this.from)) * this.width;
  }

  /**
   * @param {number} first @param {number} last
   * @param {number} top @param {number} bottom
   * @param {string} colour @param {number} alpha
   */
  area(first, last, top, bottom, colour, alpha) {
    const x = this.x(first);
    const width = Math.max(1.5, this.x(last + 1) - x);
    if (last < first || x > this.width || x + width < 0) return;
    this.context.globalAlpha = alpha;
    this.context.fillStyle = this.colour(colour);
    this.context.fillRect(x, top, width, bottom - top);
    this.context.globalAlpha = 1;
  }

  /**
   * @param {number} top @param {number} height
   * @param {{first: number, last: number, colour: string}[]} runs
   */
  band(top, height, runs) {
    for (const { first, last, colour } of runs) {
      this.area(first, last, top, top + height, colour, 1);
    }
  }

  /** @param {number} y a line all along */
  rule(y) {
    const { context } = this;
    context.strokeStyle = this.colour("line");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, Math.round(y) + 0.5);
    context.lineTo(this.width, Math.round(y) + 0.5);
    context.stroke();
  }

  /**
   * @param {number} row @param {number} top @param {number} bottom
   * @param {string} colour @param {number} width @param {number[]} dash
   */
  line(row, top, bottom, colour, width = 1, dash = []) {
    const { context } = this;
    context.strokeStyle = this.colour(colour);
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(this.x(row), top);
    context.lineTo(this.x(row), bottom);
    context.stroke();
    context.setLineDash([]);
  }

  /**
   * Draw a curve: a point for each row where there is room, else what lies between the
   * least and the greatest of each pixel.
   *
   * @param {Pyramid} pyramid
   * @param {(value: number) => number} y
   * @param {string} colour
   * @param {number} width
   */
  curve(pyramid, y, colour, width) {
    const { context } = this;
    const rows = this.until - this.from;
    if (rows <= 2 * this.width) {
      this.points(pyramid.values, y, colour, width);
      return;
    }
    context.strokeStyle = this.colour(colour);
    context.lineWidth = width;
    context.beginPath();
    let isOn = false;
    for (let x = 0; x < this.width; x++) {
      const first = Math.floor(this.from + (x / this.width) * rows);
      const end = Math.floor(this.from + ((x + 1) / this.width) * rows);
      const [low, high] = pyramid.range(first, Math.max(end, first + 1));
      if (Number.isNaN(low)) {
        isOn = false;
        continue;
      }
      if (isOn) context.lineTo(x + 0.5, y(low));
      else context.moveTo(x + 0.5, y(low));
      context.lineTo(x + 0.5, y(high) + 0.5);
      isOn = true;
    }
    context.stroke();
  }

  /**
   * Draw a point for each row, and lines between them.
   *
   * @param {Numbers} values NaN: no line here
   * @param {(value: number) => number} y
   * @param {string} colour
   * @param {number} width
   */
  points(values, y, colour, width) {
    const { context } = this;
    context.strokeStyle = this.colour(colour);
    context.lineWidth = width;
    context.lineJoin = "round";
    context.beginPath();
    let isOn = false;
    const last = Math.min(values.length, Math.ceil(this.until) + 1);
    for (let row = Math.max(0, Math.floor(this.from)); row < last; row++) {
      const value = values[row];
      if (Number.isNaN(value)) isOn = false;
      else if (isOn) context.lineTo(this.x(row + 0.5), y(value));
      else {
        context.moveTo(this.x(row + 0.5), y(value));
        isOn = true;
      }
    }
    context.stroke();
  }

  /** @param {number} row @param {number} y @param {string} colour */
  dot(row, y, colour) {
    this.context.fillStyle = this.colour(colour);
    this.context.beginPath();
    this.context.arc(this.x(row), y, 2, 0, 7);
    this.context.fill();
  }

  /** @param {number} row @param {number} y of its foot @param {string} colour */
  tip(row, y, colour) {
    const { context } = this;
    const x = this.x(row + 0.5);
    context.fillStyle = this.colour(colour);
    context.beginPath();
    context.moveTo(x, y - 8);
    context.lineTo(x - 5, y);
    context.lineTo(x + 5, y);
    context.fill();
  }

  /** @param {number} first @param {number} last @param {number} bottom @param {string} colour */
  edges(first, last, bottom, colour) {
    this.line(first, 0, bottom, colour, 2);
    this.line(last + 1, 0, bottom, colour, 2);
  }

  /** @param {number} from @param {number} until */
  frame(from, until) {
    const { context } = this;
    context.strokeStyle = this.colour("ink");
    context.lineWidth = 2;
    const x = this.x(from);
    context.strokeRect(x + 1, 1, Math.max(4, this.x(until) - x - 2), this.height - 2);
  }

  /**
   * @param {string} text @param {number} x @param {number} y
   * @param {string} colour @param {CanvasTextAlign} align
   */
  text(text, x, y, colour, align = "left") {
    this.context.textAlign = align;
    this.context.fillStyle = this.colour(colour);
    this.context.fillText(text, x, y);
  }

  /** @param {string} text @param {number} x @param {number} y on a ground of its own */
  label(text, x, y) {
    const { context } = this;
    context.textAlign = "left";
    context.globalAlpha = 0.8;
    context.fillStyle = this.colour("card");
    context.fillRect(x, y - 11, context.measureText(text).width + 6, 14);
    context.globalAlpha = 1;
    this.text(text, x + 3, y, "faint");
  }
}

/** A drawing that stays as it is, under a line that moves. */
export class Still {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.kept = document.createElement("canvas");
  }

  /** Keep what is on the canvas now. */
  keep() {
    const { canvas, kept } = this;
    kept.width = canvas.width;
    kept.height = canvas.height;
    // What is not shown has no size, and cannot be copied.
    if (canvas.width && canvas.height) kept.getContext("2d")?.drawImage(canvas, 0, 0);
  }

  /**
   * Draw what was kept, and an upright line.
   *
   * @param {number} along part of the width
   * @param {number} foot pixels that it ends above the bottom
   * @param {string} colour
   */
  draw(along, foot, colour) {
    const { canvas, kept } = this;
    const context = canvas.getContext("2d");
    if (!context || !kept.width || !kept.height) return;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(kept, 0, 0);
    context.restore();
    context.fillStyle = colour;
    context.fillRect(along * canvas.clientWidth - 1, 0, 2, canvas.clientHeight - foot);
  }
}
