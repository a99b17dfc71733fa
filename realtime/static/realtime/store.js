/**
 * What the agent holds, by the messages so far: state before + events = a fresh snapshot.
 *
 * A tick marks what it changes; a position is valued when it is read, so once a frame, however many ticks there were.
 *
 * @import { Worth } from "./accounting.js"
 */

import { extremes, inFull, readHolding, solInUsd, totals, worth } from "./accounting.js";
import { Decimal } from "./decimal.js";

/** One position: what the server sent, at the newest price. */
class Entry {
  /** @type {Worth | null} */
  #worth;
  /** @type {Wire.LivePosition | null} */
  #full;

  /** @param {Wire.LivePosition} position */
  constructor(position) {
    /** @type {Wire.LivePosition} */
    this.position = position;
    this.holding = readHolding(position);
    this.#full = position; // the server has valued it
    this.price = Decimal.of(position.currentPrice);
    this.solUsd = sentSolInUsd(position);
    this.#worth = sentWorth(position, this.holding, this.solUsd);
  }

  /**
   * @param {Wire.PriceUpdate} update
   * @param {Decimal} price `update.price`
   * @param {Decimal | null} solUsd
   * @param {Wire.Timestamp} timestamp
   */
  reprice(update, price, solUsd, timestamp) {
    this.position = {
      ...this.position,
      ...extremes(this.position, update.price),
      currentPrice: update.price,
      currentPriceUsd: update.priceUsd,
      priceSource: "live",
      priceTimestamp: timestamp,
    };
    this.price = price;
    this.solUsd = solUsd;
    this.#worth = this.#full = null;
  }

  get worth() {
    return (this.#worth ??= worth(this.holding, this.price, this.solUsd));
  }

  /** The position with all its computed fields. */
  get full() {
    return (this.#full ??= { ...this.position, ...inFull(this.holding, this.price, this.solUsd, this.worth) });
  }
}

export class Store {
  /** @type {Map<string, Entry>} by id, in the server's order */
  #entries = new Map();
  /** @type {Map<string, Set<string>>} ids by token address */
  #byToken = new Map();
  /** @type {Set<string>} */
  #changed = new Set();

  /** Whether there has been a snapshot. */
  loaded = false;
  /** @type {Wire.Timestamp | null} when the newest message was sent; null before the first */
  updatedAt = null;

  /** The positions, valued, in the server's order. */
  *positions() {
    for (const entry of this.#entries.values()) yield entry.full;
  }

  get size() {
    return this.#entries.size;
  }

  /**
   * The position, valued; undefined where it is not open.
   *
   * @param {string} id
   */
  get(id) {
    return this.#entries.get(id)?.full;
  }

  /** @param {string} token address */
  holds(token) {
    return this.#byToken.has(token);
  }

  totals() {
    return totals([...this.#entries.values()].map(({ holding, worth: each }) => [holding, each]));
  }

  /** The ids of positions that were added, changed or removed since the last call. */
  takeChanges() {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /**
   * Apply a snapshot.
   *
   * @param {Wire.InitialDataData} data
   */
  replace({ positions, timestamp }) {
    for (const id of [...this.#entries.keys()]) this.#remove(id);
    for (const position of positions) this.#put(position);
    this.updatedAt = timestamp;
    this.loaded = true;
  }

  /**
   * Apply an event; returns the position before it, undefined where it is new.
   *
   * @param {Wire.PositionUpdateData} event
   */
  change(event) {
    const before = this.get(idOf(event));
    if (event.position) this.#put(event.position);
    else this.#remove(event.positionId);
    this.updatedAt = event.timestamp;
    return before;
  }

  /**
   * Apply new prices.
   *
   * @param {Wire.PriceUpdateBatchData} data
   */
  reprice({ updates, timestamp }) {
    for (const update of updates) {
      const ids = this.#byToken.get(update.tokenAddress);
      if (!ids) continue;
      const price = Decimal.of(update.price);
      const solUsd = solInUsd(price, update.priceUsd);
      for (const id of ids) {
        this.#entries.get(id)?.reprice(update, price, solUsd, timestamp);
        this.#changed.add(id);
      }
    }
    this.updatedAt = timestamp;
  }

  /** @param {Wire.LivePosition} position */
  #put(position) {
    const { id, tokenAddress } = position;
    this.#entries.set(id, new Entry(position));
    const ids = this.#byToken.get(tokenAddress);
    if (ids) ids.add(id);
    else this.#byToken.set(tokenAddress, new Set([id]));
    this.#changed.add(id);
  }

  /** @param {string} id */
  #remove(id) {
    const entry = this.#entries.get(id);
    if (!entry) return;
    const { tokenAddress } = entry.position;
    const ids = this.#byToken.get(tokenAddress);
    ids?.delete(id);
    if (ids?.size === 0) this.#byToken.delete(tokenAddress);
    this.#entries.delete(id);
    this.#changed.add(id);
  }
}

/**
 * The id of the position that an event is about.
 *
 * @param {Wire.PositionUpdateData | Wire.EventOnRest} event
 */
export const idOf = (event) => (event.position ? event.position.id : event.positionId);

/**
 * What `worth` would give, of the figures that the server sent.
 *
 * @param {Wire.LivePosition} position
 * @param {import("./accounting.js").Holding} holding
 * @param {Decimal | null} solUsd
 * @returns {Worth}
 */
function sentWorth(position, { purchasePrice, remainingAmount, realizedProfitSol }, solUsd) {
  /** @param {Wire.Digits | null} digits */
  const inUsd = (digits) => (digits === null ? null : Decimal.of(digits));
  const unrealized = Decimal.of(position.currentPrice).minus(purchasePrice).times(remainingAmount);
  return {
    exactProfit: realizedProfitSol.plus(unrealized),
    positionValueSol: Decimal.of(position.positionValueSol),
    positionValueUsd: inUsd(position.positionValueUsd),
    profitLossSol: Decimal.of(position.profitLossSol),
    profitLossUsd: inUsd(position.profitLossUsd),
    unrealizedSol: unrealized.rounded(9),
    unrealizedUsd: solUsd && unrealized.times(solUsd).rounded(6),
  };
}

/**
 * USD for one SOL, as the server used it for this position: at a live price by the token's own two prices.
 *
 * @param {Wire.LivePosition} position
 */
function sentSolInUsd({ priceSource, currentPrice, currentPriceUsd, purchasePrice, purchasePriceUsd }) {
  if (priceSource === "live") return solInUsd(currentPrice, currentPriceUsd);
  return solInUsd(purchasePrice, purchasePriceUsd);
}
