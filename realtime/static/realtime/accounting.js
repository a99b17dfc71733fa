/**
 * What a position is worth at a price: the rules of docs/protocol.md, as positions/books/accounting.py has them.
 *
 * Both are held to tests/accounting_vectors.json, to the last digit. Pure: strings of digits or Decimals in, out as said.
 */

import { Decimal, HUNDRED, ZERO } from "./decimal.js";

// Digits kept where a quotient has no end, and decimals of what comes out: the same as on the server.
const QUOTE_PRECISION = 50;
const PRECISION = 80;
const SOL_DECIMALS = 9;
const USD_DECIMALS = 6;
const PERCENT_DECIMALS = 6;
const PRICE_DECIMALS = 18;

/** USD for one SOL, by one token's price in both; null where unknown. */
export function solInUsd(price, priceUsd) {
  const p = Decimal.of(price);
  return priceUsd === null || p.sign === 0 ? null : Decimal.of(priceUsd).over(p, QUOTE_PRECISION);
}

/** The cost side of a position, as Decimals: read once, where it is valued often. */
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
 * @param holding of `readHolding`.
 * @param price SOL for one token, a Decimal.
 * @param solUsd USD for one SOL, a Decimal; null where unknown, and then the USD figures are null: unknown is not
 *   nothing.
 */
export function worth({ purchasePrice, remainingAmount, realizedProfitSol }, price, solUsd) {
  const value = price.times(remainingAmount);
  const unrealized = price.minus(purchasePrice).times(remainingAmount);
  const profit = realizedProfitSol.plus(unrealized);
  return {
    exactProfit: profit,
    positionValueSol: value.rounded(SOL_DECIMALS),
    positionValueUsd: inUsd(value, solUsd),
    profitLossSol: profit.rounded(SOL_DECIMALS),
    profitLossUsd: inUsd(profit, solUsd),
    unrealizedSol: unrealized.rounded(SOL_DECIMALS),
    unrealizedUsd: inUsd(unrealized, solUsd),
  };
}

/**
 * Value a holding in full: the computed fields of a position, as strings of digits; null where unknown.
 *
 * @param holding `{purchasePrice, remainingAmount, totalInvestedSol, realizedProfitSol}`, or a whole position.
 * @param price SOL for one token.
 * @param priceUsd USD for one token, from the same update as `price`, so that SOL and USD always agree; or null.
 */
export function value(holding, price, priceUsd) {
  const held = readHolding(holding);
  const p = Decimal.of(price);
  const solUsd = solInUsd(p, priceUsd);
  return inFull(held, p, solUsd, worth(held, p, solUsd));
}

/** The computed fields that `worth` leaves out, and those that it has, as strings of digits. */
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
 * Add up what `worth` gives, with the holdings it is of: pairs `[holding, worth]`. Strings of digits; a USD sum is null
 * as soon as one of its parts is: a sum that leaves something out is wrong.
 */
export function totals(pairs) {
  const list = [...pairs];
  const sum = (field) => {
    let total = ZERO;
    for (const [, part] of list) {
      if (part[field] === null) return null;
      total = total.plus(part[field]);
    }
    return total;
  };
  const of = (field) => list.reduce((total, [holding]) => total.plus(holding[field]), ZERO);
  const profit = sum("profitLossSol");
  return {
    positionValueSol: String(sum("positionValueSol")),
    positionValueUsd: sum("positionValueUsd")?.toString() ?? null,
    profitLossSol: String(profit),
    profitLossUsd: sum("profitLossUsd")?.toString() ?? null,
    profitLossPercent: percent(profit, of("totalInvestedSol")),
    unrealizedSol: String(sum("unrealizedSol")),
    unrealizedUsd: sum("unrealizedUsd")?.toString() ?? null,
    realizedSol: String(of("realizedProfitSol")),
  };
}

/** The price at which a stop loss sells: `percentage` is counted from the average cost. Null where there is none. */
export function stopLossPrice(purchasePrice, percentage) {
  if (percentage === null || percentage === undefined) return null;
  const share = HUNDRED.plus(Decimal.of(percentage)).times(Decimal.of("0.01"));
  return Decimal.of(purchasePrice).times(share).rounded(PRICE_DECIMALS).toString();
}

/** `part` of `whole` in percent, as digits; a zero denominator gives 0. */
export function percent(part, whole) {
  if (whole.sign === 0) return "0";
  return part.over(whole, PRECISION).times(HUNDRED).rounded(PERCENT_DECIMALS).toString();
}

function inUsd(sol, solUsd) {
  return solUsd === null ? null : sol.times(solUsd).rounded(USD_DECIMALS);
}
