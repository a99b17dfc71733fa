/**
 * Figures in the currency that the user has chosen: SOL, or USD where the price of SOL is known.
 */

import { rateOf, solInUsd } from "./accounting.js";
import { Decimal } from "./decimal.js";
import * as format from "./format.js";

/** @type {Decimal | null} USD for one SOL, by the last answer of REST; null where unknown */
let polledSolUsd = null;

/** @param {Wire.Digits | null} digits USD for one SOL now; null where unknown. */
export function noteSolUsd(digits) {
  polledSolUsd = digits === null ? null : Decimal.of(digits);
}

/** Whether the user has chosen USD. */
export const isUsd = () => document.body.dataset.currency === "usd";

/** Sums and prices at one price of SOL. */
export class Money {
  #solUsd;

  /** @param {Decimal | null} solUsd USD for one SOL; null where unknown. */
  constructor(solUsd) {
    this.#solUsd = solUsd;
  }

  /**
   * A sum of SOL, with its unit.
   *
   * @param {Wire.Digits | null} sol
   * @param {format.Options} [options]
   */
  sum(sol, options) {
    if (sol === null) return format.UNKNOWN;
    if (isUsd() && this.#solUsd) return format.usd(this.#inUsd(sol, 6), options);
    return `${format.sol(sol, options)} SOL`;
  }

  /**
   * A price in SOL of one token, with its unit.
   *
   * @param {Wire.Digits | null} price
   */
  price(price) {
    if (price === null) return format.UNKNOWN;
    if (isUsd() && this.#solUsd) return format.usdPrice(this.#inUsd(price, 30));
    return `${format.price(price)} SOL`;
  }

  /** Whether USD is chosen, and the price of SOL known. */
  get isUsd() {
    return isUsd() && this.#solUsd !== null;
  }

  /**
   * A sum or a price in SOL for drawing; in USD where `usd`.
   *
   * @param {Wire.Digits} sol
   * @param {boolean} usd
   */
  double(sol, usd) {
    return Number(sol) * (usd ? Number(this.#solUsd) : 1);
  }

  /**
   * @param {Wire.Digits} sol
   * @param {number} decimals
   */
  #inUsd(sol, decimals) {
    return this.#solUsd && String(Decimal.of(sol).times(this.#solUsd).rounded(decimals));
  }
}

/**
 * Money at the price of SOL that the position is valued with: where neither of its prices says one, since what was
 * bought for 0 has no other, the one that is known now.
 *
 * @param {Wire.LivePosition} position
 */
export function moneyOf(position) {
  const [price, priceUsd] = rateOf(position);
  const isSaid = Decimal.of(price).sign !== 0;
  return new Money(isSaid ? solInUsd(price, priceUsd) : polledSolUsd);
}
