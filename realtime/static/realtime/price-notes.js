/**
 * How reliable the price of a position is, by what the socket and the polls say.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Prices } from "./prices.js"
 */

import { noteOf, statusOf } from "./price-status.js";

export class PriceNotes {
  #prices;
  #now;
  /** Whether the connection is lost: then no poll confirms the price that is shown. */
  silent = false;

  /**
   * @param {Prices} prices
   * @param {() => number} now milliseconds of the epoch
   */
  constructor(prices, now) {
    this.#prices = prices;
    this.#now = now;
  }

  /**
   * @param {ChosenAgent | null} agent
   * @param {Wire.LivePosition} position
   */
  of(agent, position) {
    const { id, tokenAddress, priceStatus, priceTimestamp } = position;
    const [status, now] = [statusOf(position), this.#now()];
    if (status === "thin") return noteOf(status, agent?.store.since(id) ?? null, now);
    if (priceStatus === undefined && status === "live") {
      const since = this.#prices.staleSince(tokenAddress, now);
      return noteOf(since === null ? "live" : "stale", since, now);
    }
    // A poll may know a later answer than the last update.
    const isPolled = !this.silent && (status === "stale" || status === "live");
    const polled = isPolled ? this.#prices.currentAt(tokenAddress) : null;
    return noteOf(status, polled !== null && polled > (priceTimestamp ?? "") ? polled : priceTimestamp, now);
  }
}
