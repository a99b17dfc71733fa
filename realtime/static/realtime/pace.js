/**
 * When to draw: in the next animation frame, however much has changed by then. An expensive drawing comes less often,
 * so that it takes a small part of the time only; a hidden window is not drawn at all.
 */

// What is drawn, and what the browser makes of it (style, layout, paint), take a twentieth of the time.
const REST_FACTOR = 20;
const LONGEST_REST_MS = 250;
const HIDDEN_MS = 1_000;

export class Pace {
  /** @type {number | undefined} */
  #frame;
  /** @type {number | undefined} */
  #timer;
  #restUntil = 0; // Infinity: until the browser is done with a frame
  #isWanted = false; // since then
  #started = 0;
  /** @type {number | null} */
  #more = null;
  #channel = new MessageChannel();

  /**
   * @param {() => number | null} draw draws what has changed; returns the milliseconds after which it has more to
   *   draw, 0 for the next frame, whatever this one has cost, or null.
   * @param {() => void} hidden is called instead while the window is hidden, once a second at most.
   */
  constructor(draw, hidden) {
    this.draw = draw;
    this.hidden = hidden;
    this.#channel.port1.onmessage = () => this.#rest();
    document.addEventListener("visibilitychange", () => {
      this.#cancel();
      this.request();
    });
  }

  /** Something has changed. */
  request() {
    if (this.#frame !== undefined) return;
    const rest = this.#restUntil - performance.now();
    if (document.hidden) this.#timer ??= setTimeout(() => this.#skip(), HIDDEN_MS);
    else if (rest === Infinity) this.#isWanted = true;
    else if (rest > 0) this.#wait(rest);
    else this.#frame = requestAnimationFrame(() => this.#run());
  }

  /** @param {number} milliseconds */
  #wait(milliseconds) {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.request();
    }, milliseconds);
  }

  #run() {
    this.#cancel();
    this.#started = performance.now();
    this.#more = this.draw();
    this.#restUntil = this.#more === 0 ? 0 : Infinity;
    if (this.#more === 0) this.request();
    else this.#channel.port2.postMessage(null); // comes when the browser has drawn it, too
  }

  #rest() {
    const cost = performance.now() - this.#started;
    this.#restUntil = this.#started + Math.min(LONGEST_REST_MS, REST_FACTOR * cost);
    const isWanted = this.#isWanted || this.#more !== null;
    this.#isWanted = false;
    if (isWanted) this.#wait(Math.max(this.#more ?? 0, this.#restUntil - performance.now()));
  }

  #skip() {
    this.#timer = undefined;
    this.hidden();
  }

  #cancel() {
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = this.#timer = undefined;
  }
}
