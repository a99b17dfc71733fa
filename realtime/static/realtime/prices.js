/**
 * What the page knows of prices: of each token, when its price was last known to be current and how it has gone; of
 * the price feed, what the server answers every few seconds.
 *
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { LoginRequired } from "./nexgent.js";
import { Series } from "./series.js";
import { isAborted } from "./session.js";
import { Timers } from "./timers.js";

const POLL_EVERY_MS = 10_000;
const STALE_AFTER_MS = 60_000;

/** One token's price. */
class Token {
  /** @type {Wire.Timestamp | null} */
  currentAt = null;
  series = new Series();
}

export class Prices {
  /** @type {Map<string, Token>} by address */
  #tokens = new Map();
  #session;
  #isHeld;
  #onStatus;
  #timers = new Timers();
  /** @type {AbortController | null} from `start` to `stop` */
  #polling = null;

  /** @type {Wire.Digits | null} USD for one SOL */
  solUsd = null;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {(token: string) => boolean} options.isHeld whether the page shows a position of this token.
   * @param {(status: Wire.PricesOnRest | "unreadable") => void} options.onStatus is called with every answer.
   */
  constructor({ session, isHeld, onStatus }) {
    this.#session = session;
    this.#isHeld = isHeld;
    this.#onStatus = onStatus;
  }

  /** Begin to ask the server, until `stop`. */
  start() {
    this.stop();
    this.#polling = new AbortController();
    const { signal } = this.#polling;
    document.addEventListener("visibilitychange", () => document.hidden || this.#poll(signal), { signal });
    this.#poll(signal);
  }

  /** Stop asking, and forget everything. */
  stop() {
    this.#polling?.abort();
    this.#polling = null;
    this.#timers.cancelAll();
    this.#tokens.clear();
    this.solUsd = null;
  }

  /**
   * New prices have come.
   *
   * @param {Wire.PriceUpdateBatchData} data
   */
  update({ updates, timestamp }) {
    const at = Date.parse(timestamp);
    for (const { tokenAddress, price } of updates) {
      const token = this.#token(tokenAddress);
      token.currentAt = timestamp;
      token.series.add(at, Number(price));
    }
  }

  /**
   * A position has come, perhaps at a live price.
   *
   * @param {Wire.LivePosition} position
   */
  note({ tokenAddress, priceSource, priceTimestamp, currentPrice }) {
    if (priceSource !== "live" || priceTimestamp === null) return;
    this.series(tokenAddress).add(Date.parse(priceTimestamp), Number(currentPrice));
  }

  /**
   * How the token's price has gone since the page first had it.
   *
   * @param {string} address
   */
  series(address) {
    return this.#token(address).series;
  }

  /**
   * The time of the token's price, where that is stale at the moment `now`; else null.
   *
   * @param {string} address
   * @param {number} now milliseconds of the epoch
   */
  staleSince(address, now) {
    const at = this.#tokens.get(address)?.currentAt ?? null;
    return at !== null && now - Date.parse(at) > STALE_AFTER_MS ? at : null;
  }

  /** @param {string} address */
  #token(address) {
    let token = this.#tokens.get(address);
    if (!token) {
      token = new Token();
      this.#tokens.set(address, token);
    }
    return token;
  }

  /** @param {AbortSignal} signal */
  async #poll(signal) {
    if (!document.hidden) {
      try {
        this.#take(await api.prices(this.#session, signal));
      } catch (error) {
        // The connection, or the next click, says that a log-in is needed.
        if (isAborted(error) || error instanceof LoginRequired) return;
        this.solUsd = null;
        this.#onStatus("unreadable"); // rather than something old
      }
    }
    if (signal.aborted) return;
    this.#timers.set("poll", POLL_EVERY_MS, () => this.#poll(signal));
  }

  /** @param {Wire.PricesOnRest} status */
  #take(status) {
    this.solUsd = status.solPriceUsd;
    const named = new Set();
    for (const { tokenAddress, timestamp } of status.prices) {
      named.add(tokenAddress);
      const token = this.#token(tokenAddress);
      if (token.currentAt === null || token.currentAt < timestamp) token.currentAt = timestamp;
    }
    for (const address of this.#tokens.keys()) {
      if (!named.has(address) && !this.#isHeld(address)) this.#tokens.delete(address);
    }
    this.#onStatus(status);
  }
}
