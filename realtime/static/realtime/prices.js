/**
 * What the page knows of prices: of each token, when its price was last known to be current and how it has gone; of
 * the price feed, what the server answers every few seconds.
 *
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { LoginRequired } from "./nexgent.js";
import { isLive } from "./price-status.js";
import { Series } from "./series.js";
import { isAborted } from "./session.js";
import { Timers } from "./timers.js";

const POLL_EVERY_MS = 10_000;
/** After how long a price that nothing confirms is stale: the server's setting, which comes with the page. */
export const STALE_AFTER_MS = 1000 * Number(document.body.dataset.staleAfterSeconds || 60);

/** One token's price. */
class Token {
  /** @type {Wire.Timestamp | null} */
  currentAt = null;
  /** @type {Wire.Digits | null} in USD */
  liquidity = null;
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
   * New live prices have come.
   *
   * @param {Wire.PriceUpdateBatchData} data
   */
  update({ updates, timestamp }) {
    const at = Date.parse(timestamp);
    for (const { tokenAddress, price } of updates) {
      const token = this.#token(tokenAddress);
      token.currentAt = timestamp;
      if (token.series.isDue(at)) token.series.add(at, Number(price));
    }
  }

  /**
   * A position has come, perhaps at a live price.
   *
   * @param {Wire.LivePosition} position
   */
  note(position) {
    const { tokenAddress, priceTimestamp, currentPrice } = position;
    if (!isLive(position) || priceTimestamp === null) return;
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
   * When the token's price was last known to be current; null where unknown.
   *
   * @param {string} address
   */
  currentAt(address) {
    return this.#tokens.get(address)?.currentAt ?? null;
  }

  /**
   * The liquidity of the token's market in USD; null where unknown.
   *
   * @param {string} address
   */
  liquidity(address) {
    return this.#tokens.get(address)?.liquidity ?? null;
  }

  /**
   * The time of the token's price, where that is stale at the moment `now`; else null. For servers that do not say.
   *
   * @param {string} address
   * @param {number} now milliseconds of the epoch
   */
  staleSince(address, now) {
    const at = this.currentAt(address);
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
    for (const { tokenAddress, timestamp, answeredAt = timestamp, liquidityUsd = null } of status.prices) {
      named.add(tokenAddress);
      const token = this.#token(tokenAddress);
      if (token.currentAt === null || token.currentAt < answeredAt) token.currentAt = answeredAt;
      token.liquidity = liquidityUsd;
    }
    for (const address of this.#tokens.keys()) {
      if (!named.has(address) && !this.#isHeld(address)) this.#tokens.delete(address);
    }
    this.#onStatus(status);
  }
}
