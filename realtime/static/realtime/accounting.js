/**
 * What a position is worth at a price: the rules of docs/protocol.md, as positions/accounting.py has them.
 *
 * Both are held to tests/accounting_vectors.json, to the last digit. Pure: digits in (strings), digits out.
 */

import { Decimal, HUNDRED, ZERO } from "./decimal.js";

// Digits kept where a quotient has no end, and decimals of what comes out: the same as on the server.
const QUOTE_PRECISION = 50;
const PRECISION = 80;
const SOL_DECIMALS = 9;
const USD_DECIMALS = 6;
const PERCENT_DECIMALS = 6;
const PRICE_DECIMALS = 18;

/**
 * Value a holding.
 *
 * @param holding `{purchasePrice, remainingAmount, totalInvestedSol, realizedProfitSol}`, or a whole position.
 * @param price SOL for one token.
 * @param priceUsd USD for one token, from the same update as `price`, so that SOL and USD always agree; null where
 *   unknown, and then the USD figures are null: unknown is not nothing.
 */
export function value(holding, price, priceUsd) {
  const p = Decimal.of(price);
  const cost = Decimal.of(holding.purchasePrice);
  const held = Decimal.of(holding.remainingAmount);
  const invested = Decimal.of(holding.totalInvestedSol);
  const solUsd = priceUsd === null || p.sign === 0 ? null : Decimal.of(priceUsd).over(p, QUOTE_PRECISION);
  const worth = p.times(held);
  const profit = Decimal.of(holding.realizedProfitSol).plus(p.minus(cost).times(held));
  const usd = (sol, decimals) => (solUsd === null ? null : sol.times(solUsd).rounded(decimals).toString());
  return {
    positionValueSol: worth.rounded(SOL_DECIMALS).toString(),
    positionValueUsd: usd(worth, USD_DECIMALS),
    profitLossSol: profit.rounded(SOL_DECIMALS).toString(),
    profitLossUsd: usd(profit, USD_DECIMALS),
    profitLossPercent: percent(profit, invested),
    priceChangePercent: percent(p.minus(cost), cost),
    purchasePriceUsd: usd(cost, PRICE_DECIMALS),
  };
}

/**
 * Add up positions. A USD sum is null as soon as one of its parts is: a sum that leaves something out is wrong.
 */
export function totals(positions) {
  const list = [...positions];
  const invested = sum(list, "totalInvestedSol");
  const profit = sum(list, "profitLossSol");
  return {
    positionValueSol: sum(list, "positionValueSol").toString(),
    positionValueUsd: sum(list, "positionValueUsd")?.toString() ?? null,
    profitLossSol: profit.toString(),
    profitLossUsd: sum(list, "profitLossUsd")?.toString() ?? null,
    profitLossPercent: percent(profit, invested),
  };
}

/** The price at which a stop loss sells: `percentage` is counted from the average cost. Null where there is none. */
export function stopLossPrice(purchasePrice, percentage) {
  if (percentage === null || percentage === undefined) return null;
  const share = HUNDRED.plus(Decimal.of(percentage)).times(Decimal.of("0.01"));
  return Decimal.of(purchasePrice).times(share).rounded(PRICE_DECIMALS).toString();
}

function percent(part, whole) {
  if (whole.sign === 0) return "0";
  return part.over(whole, PRECISION).times(HUNDRED).rounded(PERCENT_DECIMALS).toString();
}

function sum(positions, field) {
  if (positions.some((position) => position[field] === null)) return null;
  return positions.reduce((total, position) => total.plus(Decimal.of(position[field])), ZERO);
}
