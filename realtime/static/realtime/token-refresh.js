/**
 * Renews the token of an open connection before it expires.
 */

import { Timers } from "./timers.js";

const BEFORE_MS = 60_000;
const AGAIN_MS = 5_000;

export class TokenRefresh {
  #timers = new Timers(); // refresh
  #run = 0; // counts up with every cancellation; a token that was awaited in an older run is not used
  #fetchToken;
  #onToken;
  #isFatal;
  #onFatal;

  /**
   * @param {object} options
   * @param {() => Promise<string>} options.fetchToken fetches a new token.
   * @param {(token: string) => void} options.onToken
   * @param {(error: unknown) => boolean} options.isFatal whether it is of no use to try again.
   * @param {(error: unknown) => void} options.onFatal
   */
  constructor({ fetchToken, onToken, isFatal, onFatal }) {
    this.#fetchToken = fetchToken;
    this.#onToken = onToken;
    this.#isFatal = isFatal;
    this.#onFatal = onFatal;
  }

  /**
   * Renew a token that expires in `left` milliseconds a minute before that, or halfway where it is shorter.
   *
   * @param {number} left
   */
  schedule(left) {
    if (left > 0) this.#timers.set("refresh", left - Math.min(BEFORE_MS, left / 2), () => this.#refresh());
  }

  cancel() {
    this.#run += 1;
    this.#timers.cancelAll();
  }

  async #refresh() {
    const run = this.#run;
    try {
      const token = await this.#fetchToken();
      if (run === this.#run) this.#onToken(token);
    } catch (error) {
      if (run !== this.#run) return;
      if (this.#isFatal(error)) this.#onFatal(error);
      else this.#timers.set("refresh", AGAIN_MS, () => this.#refresh());
    }
  }
}
