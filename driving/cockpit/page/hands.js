// @ts-check
/**
 * A person's hands on the wheel: held keys and buttons, a drag, a gamepad.
 *
 * The ramps are those of simulator/controls.py and so of the stock simulator: what a
 * person teaches here has the same grain as what is recorded there. The wheel is taken
 * where it is, so that a takeover in a bend does not begin with a jerk.
 */

const STEERING_PER_S = 2.5; // while a key is held
const RETURN_PER_S = 3.0; // back to straight on, while the wheel is only kept
const FULL_LOCK_OF_WINDOW = 1 / 6; // share of its width that a drag takes to full lock
const LEAST_FULL_LOCK = 90; // pixels, on a phone
const DEAD_ZONE = 0.08; // of a gamepad's stick
const STOP_BUTTON = 1; // of a gamepad: B, or the circle
const ENDS = ["pointerup", "pointercancel", "lostpointercapture"]; // of a press
// The server gives the wheel back to the model 150 ms after the last message.
const TICK_MS = 20;

/** @type {Record<string, number>} Keys by their place, and where they turn it. */
export const TURN_OF_KEY = { ArrowLeft: -1, KeyA: -1, ArrowRight: 1, KeyD: 1 };

/** @param {number} value @returns {number} of -1 to 1 */
function clip(value) {
  return Math.max(-1, Math.min(1, value));
}

/**
 * Return the steering of held keys a moment later.
 *
 * @param {number} value -1 to 1
 * @param {number} turn 1 or -1 while a key is held, 0 when none is, or both
 * @param {number} seconds that pass
 * @returns {number} -1 to 1
 */
export function ramp(value, turn, seconds) {
  if (turn) {
    const start = value * turn > 0 ? value : 0; // snaps through the middle
    return clip(start + turn * STEERING_PER_S * seconds);
  }
  const back = RETURN_PER_S * seconds;
  return value > 0 ? Math.max(0, value - back) : Math.min(0, value + back);
}

export class Hands {
  /**
   * @param {object} to what is done with them
   * @param {() => number} to.current the steering that the car follows now, -1 to 1
   * @param {(steering: number) => void} to.steer called every TICK_MS while they hold
   * @param {() => void} to.release called once when they let go
   * @param {() => void} to.toggleStop a gamepad's stop button was pressed
   */
  constructor(to) {
    this.to = to;
    this.steering = 0;
    this.isSteering = false;
    /** @type {Set<string>} Keys, and buttons of the page, that are held. */
    this.held = new Set();
    /** @type {{pointer: number, x: number, steering: number} | null} */
    this.drag = null;
    this.dragged = 0;
    this.stick = 0;
    this.isKeyKept = false;
    this.isButtonKept = false;
    this.padStopped = false;
    this.timer = 0;
    this.tickedMs = 0;
  }

  /** Whether a wheel that was taken stays the person's without a hand on it. */
  get keeps() {
    return this.isKeyKept || this.isButtonKept;
  }

  get #holds() {
    return this.held.size > 0 || this.drag !== null || Math.abs(this.stick) > DEAD_ZONE;
  }

  /** @param {string} code of a key's place, such as "KeyA" @param {boolean} isDown */
  key(code, isDown) {
    if (code === "ShiftLeft" || code === "ShiftRight") this.isKeyKept = isDown;
    else if (!(code in TURN_OF_KEY)) return;
    else if (isDown) this.held.add(code);
    else this.held.delete(code);
    this.#change();
  }

  /** @param {boolean} isKept by the button on the page */
  keep(isKept) {
    this.isButtonKept = isKept;
    this.#change();
  }

  /** Take every hand off the wheel, whatever is still pressed. */
  letGo() {
    this.held.clear();
    this.drag = null;
    this.stick = 0;
    this.isKeyKept = this.isButtonKept = false;
    this.#change();
  }

  /** @param {Element} element to be dragged left and right */
  dragOn(element) {
    element.addEventListener("pointerdown", (event) => {
      const { pointerId, clientX, button } = /** @type {PointerEvent} */ (event);
      if (button !== 0 || this.drag) return;
      element.setPointerCapture(pointerId);
      const steering = this.isSteering ? this.steering : this.to.current();
      this.drag = { pointer: pointerId, x: clientX, steering };
      this.dragged = steering;
      this.#change();
    });
    element.addEventListener("pointermove", (event) => {
      const { pointerId, clientX } = /** @type {PointerEvent} */ (event);
      if (this.drag?.pointer !== pointerId) return;
      const lock = Math.max(LEAST_FULL_LOCK, FULL_LOCK_OF_WINDOW * innerWidth);
      this.dragged = clip(this.drag.steering + (clientX - this.drag.x) / lock);
    });
    for (const end of ENDS) {
      element.addEventListener(end, (event) => {
        const { pointerId } = /** @type {PointerEvent} */ (event);
        if (this.drag?.pointer !== pointerId) return;
        this.drag = null;
        this.#change();
      });
    }
  }

  /**
   * @param {HTMLElement} button
   * @param {string} code of the key that it acts as while a pointer holds it
   */
  holdOn(button, code) {
    const set = (/** @type {boolean} */ isDown) => {
      button.classList.toggle("held", isDown);
      this.key(code, isDown);
    };
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      set(true);
    });
    for (const end of ENDS) button.addEventListener(end, () => set(false));
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** Read gamepads from now on, with every picture that the screen shows. */
  watchGamepads() {
    let isReading = false;
    const read = () => {
      const pads = navigator.getGamepads().filter((pad) => pad !== null);
      const sticks = pads.map((pad) => clip(pad.axes[0] ?? 0));
      this.stick = sticks.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
      const isStop = pads.some((pad) => pad.buttons[STOP_BUTTON]?.pressed);
      if (isStop && !this.padStopped) this.to.toggleStop();
      this.padStopped = isStop;
      this.#change();
      isReading = pads.length > 0;
      if (isReading) requestAnimationFrame(read);
    };
    addEventListener("gamepadconnected", () => {
      if (!isReading) read();
    });
  }

  /** Begin or end to steer, as what is held asks for. */
  #change() {
    const steers = this.#holds || (this.isSteering && this.keeps);
    if (steers === this.isSteering) return;
    this.isSteering = steers;
    if (steers) {
      this.steering = this.to.current();
      this.tickedMs = performance.now() - TICK_MS;
      this.timer = setInterval(() => this.#tick(), TICK_MS);
      this.#tick();
    } else {
      clearInterval(this.timer);
      this.to.release();
    }
  }

  #tick() {
    const now = performance.now();
    const seconds = (now - this.tickedMs) / 1000;
    this.tickedMs = now;
    if (this.drag) this.steering = this.dragged;
    else if (Math.abs(this.stick) > DEAD_ZONE) this.steering = this.stick;
    else {
      const turns = new Set([...this.held].map((code) => TURN_OF_KEY[code]));
      const turn = [...turns].reduce((sum, each) => sum + each, 0);
      this.steering = ramp(this.steering, turn, seconds);
    }
    this.to.steer(this.steering);
  }
}
