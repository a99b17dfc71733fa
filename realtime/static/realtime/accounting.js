/**
 * What a position is worth at a price: the rules of docs/protocol.md, as positions/books/accounting.py has them.
 *
 * tests/accounting_vectors.json checks both, to the last digit. Pure: takes strings of digits or Decimals, and returns
 * what each function says.
 */

import { Decimal, HUNDRED, ZERO } from "./decimal.js";

// Digits kept where a quotient has no end, and decimals of what comes out: the same as on the server.
const QUOTE_PRECISION = 50;
const PRECISION = 100;
export const SOL_DECIMALS = 9;
export const USD_DECIMALS = 6;
const PERCENT_DECIMALS = 6;
const PRICE_DECIMALS = 30;

/**
 * The cost side of a position.
 *
 * @typedef {{purchasePrice: Wire.Digits, remainingAmount: Wire.Digits, totalInvestedSol: Wire.Digits,
 *   realizedProfitSol: Wire.Digits}} Cost
 * @typedef {{purchasePrice: Decimal, remainingAmount: Decimal, totalInvestedSol: Decimal,
 *   realizedProfitSol: Decimal}} Holding
 */

/**
 * What sums need of a valued holding. The figures in USD are null where the rate is unknown: unknown is not zero.
 *
 * @typedef {{exactProfit: Decimal, positionValueSol: Decimal, positionValueUsd: Decimal | null,
 *   profitLossSol: Decimal, profitLossUsd: Decimal | null, unrealizedSol: Decimal,
 *   unrealizedUsd: Decimal | null}} Worth
 */

/**
 * USD for one SOL, by one token's price in both; null where unknown.
 *
 * @param {Decimal | Wire.Digits} price
 * @param {Wire.Digits | null} priceUsd
 */
export function solInUsd(price, priceUsd) {
  const p = Decimal.of(price);
  return priceUsd === null || p.sign === 0 ? null : Decimal.of(priceUsd).over(p, QUOTE_PRECISION);
}

/**
 * The cost side of a position, as Decimals: read once, where it is valued often.
 *
 * @param {Cost} position
 * @returns {Holding}
 */
export function readHolding(position) {
  return {
    purchasePrice: Decimal.of(position.purchasePrice),
    remainingAmount: Decimal.of(position.remainingAmount),
    totalInvestedSol: Decimal.of(position.totalInvestedSol),
    realizedProfitSol: Decimal.of(position.realizedProfitSol),
  };
}

/**
 * Value a holding, as far as sums need it: Decimals, rounded as the server rounds them.
 *
 * @param {Holding} holding
 * @param {Decimal} price SOL for one token.
 * @param {Decimal | null} solUsd USD for one SOL; null where unknown.
 * @returns {Worth}
 */
export function worth({ purchasePrice, remainingAmount, realizedProfitSol }, price, solUsd) {
  const held = price.times(remainingAmount);
  const unrealized = price.minus(purchasePrice).times(remainingAmount);
  const profit = realizedProfitSol.plus(unrealized);
  return {
    exactProfit: profit,
    positionValueSol: held.rounded(SOL_DECIMALS),
    positionValueUsd: inUsd(held, solUsd),
    profitLossSol: profit.rounded(SOL_DECIMALS),
    profitLossUsd: inUsd(profit, solUsd),
    unrealizedSol: unrealized.rounded(SOL_DECIMALS),
    unrealizedUsd: inUsd(unrealized, solUsd),
  };
}

/**
 * Value a holding in full: the computed fields of a position, as strings of digits; null where unknown.
 *
 * @param {Cost} cost
 * @param {Wire.Digits} price SOL for one token.
 * @param {Wire.Digits | null} priceUsd USD for one token, from the same update as `price`, so that SOL and USD always
 *   agree; null where unknown.
 */
export function value(cost, price, priceUsd) {
  const held = readHolding(cost);
  const p = Decimal.of(price);
  const solUsd = solInUsd(p, priceUsd);
  return inFull(held, p, solUsd, worth(held, p, solUsd));
}

/**
 * The profit in USD with each trade at the SOL/USD of its time, and what is held at today's. Null where a rate is
 * unknown.
 *
 * @param {Decimal} tokens
 * @param {Decimal} price
 * @param {Decimal | null} solUsd
 * @param {Decimal | null} costUsd what was paid for the tokens held
 * @param {Decimal | null} realizedProfitUsd
 */
export function profitUsdAtCost(tokens, price, solUsd, costUsd, realizedProfitUsd) {
  if (costUsd === null || realizedProfitUsd === null || (solUsd === null && tokens.sign !== 0)) return null;
  const held = solUsd === null ? ZERO : price.times(tokens).times(solUsd);
  return held.minus(costUsd).plus(realizedProfitUsd).rounded(USD_DECIMALS);
}

/**
 * The SOL that selling the tokens into the pool brings now: constant product, before fees. Null where the reserves are
 * unknown, 0 where the market is gone.
 *
 * @param {Decimal} tokens
 * @param {Wire.PriceStatus} status
 * @param {Decimal | null} poolTokens
 * @param {Decimal | null} poolSol
 */
export function exitValue(tokens, status, poolTokens, poolSol) {
  if (status === "gone") return ZERO;
  if (poolTokens === null || poolSol === null) return null;
  const whole = poolTokens.plus(tokens);
  return whole.sign === 0 ? ZERO : poolSol.times(tokens).over(whole, PRECISION).rounded(SOL_DECIMALS);
}

/**
 * The computed fields that `worth` leaves out, and those that it has, as strings of digits.
 *
 * @param {Holding} held
 * @param {Decimal} price
 * @param {Decimal | null} solUsd
 * @param {Worth} worth
 */
export function inFull(held, price, solUsd, { exactProfit, ...known }) {
  const cost = held.purchasePrice;
  return {
    positionValueSol: String(known.positionValueSol),
    positionValueUsd: known.positionValueUsd?.toString() ?? null,
    profitLossSol: String(known.profitLossSol),
    profitLossUsd: known.profitLossUsd?.toString() ?? null,
    profitLossPercent: percent(exactProfit, held.totalInvestedSol),
    priceChangePercent: percent(price.minus(cost), cost),
    purchasePriceUsd: solUsd === null ? null : cost.times(solUsd).rounded(PRICE_DECIMALS).toString(),
  };
}

/**
 * The result of a position once all that is left of it is sold, as digits.
 *
 * @param {Cost} cost
 * @param {Wire.Digits} proceedsSol
 */
export function resultOfSale(cost, proceedsSol) {
  const { purchasePrice, remainingAmount, totalInvestedSol, realizedProfitSol } = readHolding(cost);
  const profit = realizedProfitSol.plus(Decimal.of(proceedsSol)).minus(purchasePrice.times(remainingAmount));
  return { profitLossSol: String(profit.rounded(SOL_DECIMALS)), profitLossPercent: percent(profit, totalInvestedSol) };
}

/**
 * The two prices of one token that say what a SOL costs in USD, as the server chose them for this position: its own,
 * where it has any.
 *
 * @param {Pick<Wire.LivePosition, "priceSource" | "currentPrice" | "currentPriceUsd" | "purchasePrice" |
 *   "purchasePriceUsd">} position
 * @returns {[price: Wire.Digits, priceUsd: Wire.Digits | null]}
 */
export function rateOf({ priceSource, currentPrice, currentPriceUsd, purchasePrice, purchasePriceUsd }) {
  const isPriced = priceSource === "live" && Decimal.of(currentPrice).sign !== 0;
  return isPriced ? [currentPrice, currentPriceUsd] : [purchasePrice, purchasePriceUsd];
}

/**
 * The highest and lowest price since a position was opened, with a new live price: the server has it there, too, but
 * makes no event of it.
 *
 * @template {Decimal | Wire.Digits} T
 * @param {{peakPrice: T | null, lowestPrice: T | null}} position
 * @param {T} price
 */
export function extremes({ peakPrice, lowestPrice }, price) {
  const now = Decimal.of(price);
  return {
    peakPrice: peakPrice === null || now.compare(Decimal.of(peakPrice)) > 0 ? price : peakPrice,
    lowestPrice: lowestPrice === null || now.compare(Decimal.of(lowestPrice)) < 0 ? price : lowestPrice,
  };
}

/**
 * The price at which a stop loss sells: `percentage` is counted from the average cost. Null where there is none.
 *
 * @param {Wire.Digits} purchasePrice
 * @param {Wire.Digits | null} percentage
 */
export function stopLossPrice(purchasePrice, percentage) {
  if (percentage === null) return null;
  const share = HUNDRED.plus(Decimal.of(percentage)).times(Decimal.of("0.01"));
  return Decimal.of(purchasePrice).times(share).rounded(PRICE_DECIMALS).toString();
}

/**
 * `part` of `whole` in percent, as digits; a zero denominator gives 0.
 *
 * @param {Decimal} part
 * @param {Decimal} whole
 */
export function percent(part, whole) {
  if (whole.sign === 0) return "0";
  return part.over(whole, PRECISION).times(HUNDRED).rounded(PERCENT_DECIMALS).toString();
}

/**
 * @param {Decimal} sol
 * @param {Decimal | null} solUsd
 */
function inUsd(sol, solUsd) {
  return solUsd === null ? null : sol.times(solUsd).rounded(USD_DECIMALS);
}
