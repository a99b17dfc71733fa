/**
 * Timers with names: setting one replaces the one of that name, and all can be cancelled at once.
 */

const LONGEST_MS = 2 ** 31 - 1; // of what setTimeout can count

export class Timers {
  /** @type {Map<string, number>} the browser's number for each */
  #running = new Map();

  /** @param {string} name */
  has(name) {
    return this.#running.has(name);
  }

  /**
   * Call `act` in this many milliseconds, instead of what was due under this name.
   *
   * @param {string} name
   * @param {number} milliseconds
   * @param {() => void} act
   */
  set(name, milliseconds, act) {
    this.cancel(name);
    const timer = setTimeout(() => {
      this.#running.delete(name);
      act();
    }, Math.min(milliseconds, LONGEST_MS));
    this.#running.set(name, timer);
  }

  /** @param {string} name */
  cancel(name) {
    clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  cancelAll() {
    for (const timer of this.#running.values()) clearTimeout(timer);
    this.#running.clear();
  }
}
