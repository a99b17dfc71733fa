/**
 * What the agent holds, by the messages so far: state before + events = a fresh snapshot.
 *
 * A tick marks what it changes; a position is valued when somebody asks, hence once a frame, however many ticks.
 */

import { inFull, readHolding, solInUsd, totals, worth } from "./accounting.js";
import { Decimal } from "./decimal.js";
import { Series } from "./series.js";

/** One position: what the server sent, at the newest price. */
class Entry {
  #worth = null;
  #full = null;

  constructor(position) {
    this.position = position;
    this.holding = readHolding(position);
    this.#full = position; // the server has valued it
    this.price = Decimal.of(position.currentPrice);
    this.solUsd = sentSolInUsd(position);
    this.#worth = sentWorth(position, this.holding, this.solUsd);
  }

  reprice({ price, priceUsd, solUsd, decimal }, timestamp) {
    this.position = {
      ...this.position,
      currentPrice: price,
      currentPriceUsd: priceUsd,
      priceSource: "live",
      priceTimestamp: timestamp,
    };
    this.price = decimal;
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
  #entries = new Map(); // id → Entry, in the server's order
  #byToken = new Map(); // token address → ids
  #series = new Map(); // token address → Series
  #changed = new Set();

  loaded = false;
  /** When the newest message was sent, as the server wrote it; null before the first. */
  updatedAt = null;
  /** The total value in SOL. */
  portfolio = new Series();

  /** The positions, valued, in the server's order. */
  *positions() {
    for (const entry of this.#entries.values()) yield entry.full;
  }

  get ids() {
    return this.#entries.keys();
  }

  get size() {
    return this.#entries.size;
  }

  /** The position, valued; undefined where it is not held. */
  get(id) {
    return this.#entries.get(id)?.full;
  }

  /** How the token's price went since the page was opened. */
  series(token) {
    if (!this.#series.has(token)) this.#series.set(token, new Series());
    return this.#series.get(token);
  }

  totals() {
    return totals([...this.#entries.values()].map((entry) => [entry.holding, entry.worth]));
  }

  /** Forget everything: another agent. */
  clear() {
    this.replace({ positions: [], timestamp: null });
    this.loaded = false;
    this.portfolio = new Series();
  }

  /** The ids of positions that came, changed or went since the last call. */
  takeChanges() {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** Take in a snapshot. */
  replace({ positions, timestamp }) {
    for (const id of [...this.#entries.keys()]) this.#remove(id);
    for (const position of positions) this.#put(position);
    this.updatedAt = timestamp;
    this.loaded = true;
  }

  /** Take in an event; returns what the position was before, undefined where it is new. */
  change({ position, positionId, timestamp }) {
    const before = this.get(position?.id ?? positionId);
    if (position) this.#put(position);
    else this.#remove(positionId);
    this.updatedAt = timestamp;
    return before;
  }

  /** Take in new prices. */
  reprice({ updates, timestamp }) {
    for (const { tokenAddress, price, priceUsd = null } of updates) {
      const ids = this.#byToken.get(tokenAddress);
      if (!ids) continue;
      const quote = { price, priceUsd, decimal: Decimal.of(price), solUsd: solInUsd(price, priceUsd) };
      for (const id of ids) {
        this.#entries.get(id).reprice(quote, timestamp);
        this.#changed.add(id);
      }
      this.series(tokenAddress).add(Date.parse(timestamp), Number(price));
    }
    this.updatedAt = timestamp;
  }

  #put(position) {
    const { id, tokenAddress } = position;
    this.#entries.set(id, new Entry(position));
    if (!this.#byToken.has(tokenAddress)) this.#byToken.set(tokenAddress, new Set());
    this.#byToken.get(tokenAddress).add(id);
    if (position.priceSource === "live") {
      this.series(tokenAddress).add(Date.parse(position.priceTimestamp), Number(position.currentPrice));
    }
    this.#changed.add(id);
  }

  #remove(id) {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    this.#byToken.get(entry?.position.tokenAddress)?.delete(id);
    this.#changed.add(id);
  }
}

/** What `worth` would give, of the figures that the server sent. */
function sentWorth(position, { purchasePrice, remainingAmount, realizedProfitSol }, solUsd) {
  const sent = (field) => (position[field] === null ? null : Decimal.of(position[field]));
  const unrealized = sent("currentPrice").minus(purchasePrice).times(remainingAmount);
  return {
    exactProfit: realizedProfitSol.plus(unrealized),
    positionValueSol: sent("positionValueSol"),
    positionValueUsd: sent("positionValueUsd"),
    profitLossSol: sent("profitLossSol"),
    profitLossUsd: sent("profitLossUsd"),
    unrealizedSol: unrealized.rounded(9),
    unrealizedUsd: solUsd && unrealized.times(solUsd).rounded(6),
  };
}

/** USD for one SOL, as the server used it for this position: at a live price by the token's own two prices. */
function sentSolInUsd({ priceSource, currentPrice, currentPriceUsd, purchasePrice, purchasePriceUsd }) {
  if (priceSource === "live") return solInUsd(currentPrice, currentPriceUsd);
  return solInUsd(purchasePrice, purchasePriceUsd);
}
