/**
 * Sums of money in digits: exact, and unknown as soon as a part is. Pure.
 */

import { percent } from "./accounting.js";
import { Decimal, ZERO } from "./decimal.js";

/**
 * What is shown of one agent's totals, or of several.
 *
 * @typedef {Pick<Wire.ModeTotalsOnRest, "openPositions" | "positionValueSol" | "profitLossSol" | "profitLossPercent" |
 *   "investedSol" | "todaySol">} Figures
 */

/**
 * SOL in USD.
 *
 * @param {Wire.Digits | null} sol
 * @param {Wire.Digits | null} solUsd USD for one SOL; null where unknown.
 */
export function inUsd(sol, solUsd) {
  return sol === null || solUsd === null ? null : String(Decimal.of(sol).times(Decimal.of(solUsd)).rounded(6));
}

/**
 * The sum of these figures, or null if one of them is.
 *
 * @param {(Wire.Digits | null)[]} figures
 */
export function sum(figures) {
  let total = ZERO;
  for (const digits of figures) {
    if (digits === null) return null;
    total = total.plus(Decimal.of(digits));
  }
  return String(total);
}

/**
 * The totals of several agents, of one mode: live and simulated money have no sum.
 *
 * @param {Figures[]} all
 * @returns {Figures}
 */
export function sumOf(all) {
  /** @param {"positionValueSol" | "profitLossSol" | "investedSol"} name */
  const total = (name) => sum(all.map((each) => each[name])) ?? "0";
  const [profitLossSol, investedSol] = [total("profitLossSol"), total("investedSol")];
  return {
    openPositions: all.reduce((count, { openPositions }) => count + openPositions, 0),
    positionValueSol: total("positionValueSol"),
    profitLossSol,
    investedSol,
    profitLossPercent: percent(Decimal.of(profitLossSol), Decimal.of(investedSol)),
    todaySol: sum(all.map(({ todaySol }) => todaySol)),
  };
}
