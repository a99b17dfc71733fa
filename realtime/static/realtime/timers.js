/**
 * Timers with names: setting one again replaces the one that ran, and all of them end together.
 */

const LONGEST_MS = 2 ** 31 - 1; // of what setTimeout can count

export class Timers {
  #running = new Map(); // name → the browser's number

  has(name) {
    return this.#running.has(name);
  }

  /** Call `act` in this many milliseconds, in place of what was to happen under this name. */
  set(name, milliseconds, act) {
    this.cancel(name);
    const timer = setTimeout(() => {
      this.#running.delete(name);
      act();
    }, Math.min(milliseconds, LONGEST_MS));
    this.#running.set(name, timer);
  }

  cancel(name) {
    clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  cancelAll() {
    for (const timer of this.#running.values()) clearTimeout(timer);
    this.#running.clear();
  }
}
