/**
 * When to draw: in the next animation frame, however much has changed by then. A drawing that is dear comes less often, so
 * that it never takes more than a small part of the time; a window that nobody sees is not drawn at all.
 */

// With the browser's own part (style, layout, paint), which is about as much again, under a tenth of the time.
const REST_FACTOR = 24;
const LONGEST_REST_MS = 250;
const HIDDEN_MS = 1_000;

export class Pace {
  #frame = null;
  #timer = null;
  #restUntil = 0;

  /**
   * @param draw draws what has changed; returns milliseconds after which it wants to draw on, if nothing else comes, or
   *   null.
   * @param hidden is called instead, once a second at most, while nobody sees the window.
   */
  constructor(draw, hidden) {
    Object.assign(this, { draw, hidden });
    document.addEventListener("visibilitychange", () => {
      this.#cancel();
      this.request();
    });
  }

  /** Something has changed. */
  request() {
    if (this.#frame !== null) return;
    const rest = this.#restUntil - performance.now();
    if (document.hidden) this.#timer ??= setTimeout(() => this.#skip(), HIDDEN_MS);
    else if (rest > 0) this.#wait(rest);
    else this.#frame = requestAnimationFrame(() => this.#run());
  }

  #wait(milliseconds) {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
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
    this.#timer = null;
    this.hidden();
  }

  #cancel() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = this.#timer = null;
  }
}
