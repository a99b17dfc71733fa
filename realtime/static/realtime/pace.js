/**
 * When to draw: in the next animation frame, however much has changed by then. An expensive drawing comes less often,
 * so that it never takes more than a small part of the time; a hidden window is not drawn at all.
 */

// With the browser's own part (style, layout, paint), which is about as much again, under a tenth of the time.
const REST_FACTOR = 24;
const LONGEST_REST_MS = 250;
const HIDDEN_MS = 1_000;

export class Pace {
  /** @type {number | undefined} */
  #frame;
  /** @type {number | undefined} */
  #timer;
  #restUntil = 0;

  /**
   * @param {() => number | null} draw draws what has changed; returns the milliseconds after which it has more to
   *   draw, or null.
   * @param {() => void} hidden is called instead while the window is hidden, once a second at most.
   */
  constructor(draw, hidden) {
    this.draw = draw;
    this.hidden = hidden;
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
    const started = performance.now();
    const more = this.draw();
    const cost = performance.now() - started;
    this.#restUntil = started + Math.min(LONGEST_REST_MS, REST_FACTOR * cost);
    if (more !== null) this.#wait(Math.max(more, this.#restUntil - performance.now()));
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
