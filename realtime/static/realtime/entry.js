/**
 * One position of the store: what the server sent, at the newest price.
 *
 * @import { Worth } from "./accounting.js"
 */

import { exitValue, extremes, inFull, profitUsdAtCost, readHolding, solInUsd, worth } from "./accounting.js";
import { Decimal } from "./decimal.js";
import { statusAfter } from "./price-status.js";

/**
 * The reserves of the pool that makes a price: tokens, and SOL on the other side.
 *
 * @typedef {{poolTokens: Decimal | null, poolSol: Decimal | null}} Reserves
 */

export class Entry {
  /** @type {Worth | null} */
  #worth;
  /** @type {Wire.LivePosition | null} */
  #full;
  /** @type {Wire.Timestamp | null} since when the price has this status; null where it had it from the start */
  since = null;

  /** @param {Wire.LivePosition} position */
  constructor(position) {
    /** @type {Wire.LivePosition} */
    this.position = position;
    this.holding = readHolding(position);
    this.#full = position; // the server has valued it
    this.price = Decimal.of(position.currentPrice);
    /** The highest and lowest price, read once: each new price is compared with them. */
    this.extremes = { peakPrice: decimalOf(position.peakPrice), lowestPrice: decimalOf(position.lowestPrice) };
    this.solUsd = sentSolInUsd(position);
    this.#worth = sentWorth(position, this.holding, this.solUsd);
    /** What selling all of it would bring now; null where unknown. */
    this.exit = typeof position.exitValueSol === "string" ? Decimal.of(position.exitValueSol) : null;
  }

  /**
   * @param {Wire.PriceUpdate} update
   * @param {Decimal} price `update.price`
   * @param {Wire.Timestamp} timestamp
   * @param {Reserves | null} reserves the pool's reserves, as far as the server has sent them
   */
  reprice(update, price, timestamp, reserves) {
    const before = this.position;
    const status = statusAfter(before.priceStatus, update.priceStatus);
    const live = status === undefined || status === "live";
    // One that is the same was there when the server sent the highest and lowest price, or is older than the position.
    const isNew = status !== before.priceStatus || update.price !== before.currentPrice;
    const hasMore = status !== before.priceStatus || update.poolSol !== undefined;
    this.position = {
      ...before,
      ...(live && isNew && this.#widen(price, update.price)),
      currentPrice: update.price,
      currentPriceUsd: update.priceUsd,
      priceSource: "live",
      priceTimestamp: live || status === "thin" ? timestamp : before.priceTimestamp, // else it is the last one
      priceStatus: status,
      liquidityUsd: hasMore ? null : before.liquidityUsd, // it has moved, too
    };
    this.price = price;
    if (price.sign !== 0) this.solUsd = solInUsd(price, update.priceUsd); // 0 says nothing of what SOL costs
    if (status !== before.priceStatus) this.since = timestamp;
    if (hasMore) this.#revalueExit(before, status, reserves);
    this.#worth = this.#full = null;
  }

  /**
   * Returns the highest and lowest price of the position, where the new one is among them.
   *
   * @param {Decimal} price
   * @param {Wire.Digits} digits of it
   */
  #widen(price, digits) {
    this.extremes = extremes(this.extremes, price);
    const { peakPrice, lowestPrice } = this.extremes;
    return { ...(peakPrice === price && { peakPrice: digits }), ...(lowestPrice === price && { lowestPrice: digits }) };
  }

  /**
   * @param {Wire.LivePosition} before
   * @param {Wire.PriceStatus | undefined} status
   * @param {Reserves | null} reserves
   */
  #revalueExit(before, status, reserves) {
    const asSent = reserves === null && status !== "gone" && before.priceStatus !== "gone";
    if (asSent) return;
    const { poolTokens = null, poolSol = null } = reserves ?? {};
    this.exit = exitValue(this.holding.remainingAmount, status ?? "live", poolTokens, poolSol);
  }

  /**
   * The price has not been confirmed since then.
   *
   * @param {Wire.Timestamp} timestamp
   */
  lose(timestamp) {
    this.#full = { ...this.full, priceStatus: "stale", priceTimestamp: timestamp };
    this.position = { ...this.position, priceStatus: "stale", priceTimestamp: timestamp };
  }

  #profitUsdAtCost() {
    const { costUsd = null, realizedProfitUsd = null } = this.position;
    const profit = profitUsdAtCost(
      this.holding.remainingAmount,
      this.price,
      this.solUsd,
      costUsd === null ? null : Decimal.of(costUsd),
      realizedProfitUsd === null ? null : Decimal.of(realizedProfitUsd),
    );
    return profit && String(profit);
  }

  get worth() {
    return (this.#worth ??= worth(this.holding, this.price, this.solUsd));
  }

  /** The position with all its computed fields. */
  get full() {
    return (this.#full ??= {
      ...this.position,
      ...inFull(this.holding, this.price, this.solUsd, this.worth),
      exitValueSol: this.exit && String(this.exit),
      profitLossUsdAtCost: this.#profitUsdAtCost(),
    });
  }
}

/** @param {Wire.Digits | null} digits */
const decimalOf = (digits) => (digits === null ? null : Decimal.of(digits));

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
 * USD for one SOL, as the server used it for this position: by the token's own two prices, where it has one.
 *
 * @param {Wire.LivePosition} position
 */
function sentSolInUsd({ priceSource, currentPrice, currentPriceUsd, purchasePrice, purchasePriceUsd }) {
  if (priceSource === "live" && Decimal.of(currentPrice).sign !== 0) return solInUsd(currentPrice, currentPriceUsd);
  return solInUsd(purchasePrice, purchasePriceUsd);
}
