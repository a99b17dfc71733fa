/**
 * One position of the store: what the server sent, at the newest price.
 *
 * A tick only notes its price, since a frame draws what several have brought; what follows from it is worked out when
 * it is read.
 *
 * @import { Worth } from "./accounting.js"
 * @import { Rounded } from "./sums.js"
 */

import { exitValue, extremes, inFull, profitUsdAtCost, rateOf, readHolding, solInUsd, worth } from "./accounting.js";
import { Decimal } from "./decimal.js";
import { statusAfter, statusOf } from "./price-status.js";
import { roundedOf, roundedWorth } from "./sums.js";

/**
 * The reserves of the pool that makes a price: tokens, and SOL on the other side.
 *
 * @typedef {{poolTokens: Decimal | null, poolSol: Decimal | null}} Reserves
 */

export class Entry {
  /** @type {Wire.LivePosition} as of the last time that it was read */
  #position;
  /** @type {Partial<Wire.LivePosition> | null} what ticks have changed since */
  #changes = null;
  /** @type {Wire.LivePosition | null} */
  #full;
  /** @type {Worth | null} */
  #worth;
  /** @type {Rounded | null | undefined} undefined: not worked out yet */
  #rounded;
  /** @type {Decimal | null} */
  #price = null;
  /** @type {Decimal | null | undefined} USD for one SOL; undefined: not worked out yet */
  #solUsd;
  /** @type {Decimal | null | undefined} likewise */
  #exit;
  /** @type {Reserves | null} */
  #reserves = null;
  #digits;
  /** @type {[price: Wire.Digits, priceUsd: Wire.Digits | null]} */
  #rate;
  #status;
  #doubles;
  #extremes;
  /** The same, as the nearest doubles: of two numbers the larger one never has the smaller double. */
  #range;
  /** @type {Wire.Timestamp | null} since when the price has this status; null where it had it from the start */
  since = null;

  /** @param {Wire.LivePosition} position */
  constructor(position) {
    const { tokenAddress, walletAddress, exitValueSol } = position;
    this.tokenAddress = tokenAddress;
    this.walletAddress = walletAddress;
    this.holding = readHolding(position);
    this.#position = this.#full = position; // the server has valued it
    this.#status = position.priceStatus;
    this.#digits = position.currentPrice;
    this.#rate = rateOf(position);
    this.#doubles = {
      cost: Number(position.purchasePrice),
      amount: Number(position.remainingAmount),
      realized: Number(position.realizedProfitSol),
    };
    this.#extremes = { peakPrice: decimalOf(position.peakPrice), lowestPrice: decimalOf(position.lowestPrice) };
    this.#range = rangeOf(position);
    this.#worth = sentWorth(position, this.holding, this.solUsd);
    this.#exit = typeof exitValueSol === "string" ? Decimal.of(exitValueSol) : null;
  }

  /**
   * @param {Wire.PriceUpdate} update
   * @param {Wire.Timestamp} timestamp
   * @param {Reserves | null} reserves the pool's reserves, as far as the server has sent them
   */
  reprice({ price, priceUsd, priceStatus, poolSol }, timestamp, reserves) {
    const before = this.#status;
    const status = statusAfter(before, priceStatus);
    const live = status === undefined || status === "live";
    const changes = (this.#changes ??= {});
    // One that is the same was there when the server sent the highest and lowest price, or is older than the position.
    if (live && (status !== before || price !== this.#digits)) this.#widen(price, changes);
    changes.currentPrice = this.#digits = price;
    changes.currentPriceUsd = priceUsd;
    changes.priceSource = "live";
    if (live || status === "thin") changes.priceTimestamp = timestamp; // else it is the last one
    if (status !== undefined) changes.priceStatus = this.#status = status;
    if (Number(price) !== 0) {
      this.#rate = [price, priceUsd]; // 0 says nothing of what SOL costs
      this.#solUsd = undefined;
    }
    if (status !== before) this.since = timestamp;
    if (status !== before || poolSol !== undefined) {
      changes.liquidityUsd = null; // it has moved, too
      this.#revalueExit(before, reserves);
    }
    this.#price = this.#worth = this.#full = null;
    this.#rounded = undefined;
  }

  /**
   * The highest and lowest price, where the new one is among them.
   *
   * @param {Wire.Digits} digits
   * @param {Partial<Wire.LivePosition>} changes
   */
  #widen(digits, changes) {
    const double = Number(digits);
    if (double < this.#range.highest && double > this.#range.lowest) return;
    const price = Decimal.of(digits);
    this.#extremes = extremes(this.#extremes, price);
    if (this.#extremes.peakPrice === price) changes.peakPrice = digits;
    if (this.#extremes.lowestPrice === price) changes.lowestPrice = digits;
    const { highest, lowest } = this.#range;
    this.#range = { highest: Math.max(highest, double), lowest: Math.min(lowest, double) };
  }

  /**
   * @param {Wire.PriceStatus | undefined} before
   * @param {Reserves | null} reserves
   */
  #revalueExit(before, reserves) {
    const asSent = reserves === null && this.#status !== "gone" && before !== "gone";
    if (asSent) return;
    this.#reserves = reserves;
    this.#exit = undefined;
  }

  /**
   * The price has not been confirmed since then.
   *
   * @param {Wire.Timestamp} timestamp
   */
  lose(timestamp) {
    const lost = { priceStatus: /** @type {const} */ ("stale"), priceTimestamp: timestamp };
    this.#full = { ...this.full, ...lost };
    this.#position = { ...this.#position, ...lost };
    this.#status = lost.priceStatus;
  }

  /** How reliable its price is. */
  get status() {
    if (this.#status !== undefined) return this.#status;
    return this.#changes ? "live" : statusOf(this.#position);
  }

  /** As it was sent, or later: for what no price changes. */
  get sent() {
    return this.#position;
  }

  /** What was sent and has come since; its computed fields are in `full`. */
  get position() {
    if (this.#changes) this.#position = { ...this.#position, ...this.#changes };
    this.#changes = null;
    return this.#position;
  }

  get price() {
    return (this.#price ??= Decimal.of(this.#digits));
  }

  /** USD for one SOL; null where unknown. */
  get solUsd() {
    if (this.#solUsd === undefined) this.#solUsd = solInUsd(...this.#rate);
    return this.#solUsd;
  }

  /** What selling all of it would bring now; null where unknown. */
  get exit() {
    if (this.#exit === undefined) {
      const { poolTokens = null, poolSol = null } = this.#reserves ?? {};
      this.#exit = exitValue(this.holding.remainingAmount, this.#status ?? "live", poolTokens, poolSol);
    }
    return this.#exit;
  }

  get worth() {
    return (this.#worth ??= worth(this.holding, this.price, this.solUsd));
  }

  /** The same, rounded, for sums; null where only `worth` can tell. */
  get rounded() {
    if (this.#rounded === undefined) this.#rounded = this.#worth ? roundedOf(this.#worth) : this.#roundedNow();
    return this.#rounded;
  }

  #roundedNow() {
    const [price, priceUsd] = this.#rate;
    const isKnown = priceUsd !== null && Number(price) !== 0;
    return roundedWorth(this.#doubles, Number(this.#digits), isKnown ? Number(priceUsd) / Number(price) : null);
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

  #profitUsdAtCost() {
    const { costUsd = null, realizedProfitUsd = null } = this.position;
    const profit = profitUsdAtCost(
      this.holding.remainingAmount,
      this.price,
      this.solUsd,
      decimalOf(costUsd),
      decimalOf(realizedProfitUsd),
    );
    return profit && String(profit);
  }
}

/** @param {Wire.LivePosition} position */
const rangeOf = ({ peakPrice, lowestPrice }) => ({
  highest: peakPrice === null ? -Infinity : Number(peakPrice),
  lowest: lowestPrice === null ? Infinity : Number(lowestPrice),
});

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
  const unrealized = Decimal.of(position.currentPrice).minus(purchasePrice).times(remainingAmount);
  return {
    exactProfit: realizedProfitSol.plus(unrealized),
    positionValueSol: Decimal.of(position.positionValueSol),
    positionValueUsd: decimalOf(position.positionValueUsd),
    profitLossSol: Decimal.of(position.profitLossSol),
    profitLossUsd: decimalOf(position.profitLossUsd),
    unrealizedSol: unrealized.rounded(9),
    unrealizedUsd: solUsd && unrealized.times(solUsd).rounded(6),
  };
}
