/**
 * When to try again: counts failures, and counts the seconds down to the next try.
 */

import { backoff } from "./close-codes.js";
import { Timers } from "./timers.js";

export class Retry {
  #failures = 0; // in a row
  #timers = new Timers(); // countdown
  #onWait;
  #onDue;

  /**
   * @param {(seconds: number, reason: string) => void} onWait is called once a second while it waits.
   * @param {() => void} onDue is called when it is time to try.
   */
  constructor(onWait, onDue) {
    this.#onWait = onWait;
    this.#onDue = onDue;
  }

  /** Whether the last try has failed. */
  get isAfterFailure() {
    return this.#failures > 0;
  }

  /** The next failure is the first one. */
  forgive() {
    this.#failures = 0;
  }

  /**
   * A try has failed: wait for the next one.
   *
   * @param {string} reason
   * @param {number} retryAfter milliseconds to wait at least.
   */
  wait(reason, retryAfter) {
    const due = performance.now() + backoff(this.#failures, retryAfter);
    this.#failures += 1;
    const count = () => {
      const left = due - performance.now();
      if (left <= 0) {
        this.#onDue();
        return;
      }
      this.#timers.set("countdown", left % 1000 || 1000, count);
      this.#onWait(Math.ceil(left / 1000), reason);
    };
    count();
  }

  cancel() {
    this.#timers.cancelAll();
  }
}
