/**
 * What the dialogs say before a position is closed or its stop loss moved, and how they read what is typed. No DOM.
 *
 * @import { Note } from "./price-status.js"
 */

import { resultOfSale, stopLossPrice } from "./accounting.js";
import { Decimal, HUNDRED } from "./decimal.js";
import * as format from "./format.js";

const LOWEST = Decimal.of("-100");
const LIMIT = Decimal.of("100000");
const SOL_LIMIT = Decimal.of("100000000000");

/**
 * What was typed, or what is wrong with it: "" while nothing is typed.
 *
 * @typedef {{digits: Wire.Digits, problem?: undefined} | {digits?: undefined, problem: string}} Typed
 */

/**
 * What closing a position does.
 *
 * @param {Wire.LivePosition} position
 * @param {Note} note how reliable its price is
 * @param {Wire.Digits | undefined} proceedsSol what the sale brought, where that is named
 */
export function closingText(position, note, proceedsSol) {
  const all = `This sells all ${format.amount(position.remainingAmount)} ${format.symbol(position.tokenSymbol)}`;
  if (proceedsSol !== undefined) {
    return `${all} for ${format.sol(proceedsSol)} SOL. ${result(resultOfSale(position, proceedsSol))}`;
  }
  if (note.status !== "live") return `${all}. ${note.meaning} So it cannot be sold at the market price.`;
  const price = `about ${format.price(position.currentPrice)} SOL each`;
  return `${all} at ${price}, for about ${format.sol(position.positionValueSol)} SOL. ${result(position)}`;
}

/** @param {{profitLossSol: Wire.Digits, profitLossPercent: Wire.Digits}} figures */
function result({ profitLossSol, profitLossPercent }) {
  const percent = format.percent(profitLossPercent, format.signed);
  return `The result of the position is then ${format.sol(profitLossSol, format.signed)} SOL (${percent}).`;
}

/**
 * What to type as the proceeds.
 *
 * @param {Note} note
 */
export function proceedsHint({ status }) {
  if (status === "live") return "Leave it empty to sell at the market price, or enter what the sale brought.";
  return "The market price is not reliable: enter what the sale brought. 0 writes the position off.";
}

/**
 * What a stop loss at this percentage would do.
 *
 * @param {Wire.LivePosition} position
 * @param {Note} note how reliable its price is
 * @param {Wire.Digits} digits
 */
export function consequence({ purchasePrice, currentPrice }, note, digits) {
  const stop = stopLossPrice(purchasePrice, digits);
  const at = `The agent sells when the price falls to ${format.price(stop)} SOL`;
  const price = Decimal.of(currentPrice);
  if (note.status !== "live" && note.status !== "none") {
    return `${at}. The last price is ${format.price(currentPrice)} SOL. ${note.meaning}`;
  }
  if (stop === null || note.status === "none" || price.sign === 0) return `${at}. The current price is unknown.`;
  const distance = price.minus(Decimal.of(stop)).over(price, 20).times(HUNDRED).rounded(2);
  if (distance.sign > 0) return `${at}, ${format.percent(String(distance))} below the current price.`;
  return `${at}. The price is ${format.price(currentPrice)} SOL, already at or below that: it may sell at once.`;
}

/**
 * Read the proceeds of a sale, in SOL. No comma: in "1,250" it may be a point or none.
 *
 * @param {string} text
 * @returns {Typed}
 */
export function readProceeds(text) {
  const digits = text.trim();
  if (digits === "") return { problem: "" };
  if (!/^\+?\d*\.?\d+$/.test(digits)) return { problem: "Enter a sum of SOL, such as 1250 or 0.75." };
  const number = Decimal.of(digits.replace(/^\+/, "").replace(/^\./, "0."));
  if (number.rounded(9).compare(number) !== 0) return { problem: "Enter at most 9 decimals." };
  if (number.compare(SOL_LIMIT) >= 0) return { problem: "Enter less than 100000000000." };
  return { digits: String(number) };
}

/**
 * Read a stop loss, in percent.
 *
 * @param {string} text
 * @returns {Typed}
 */
export function readPercentage(text) {
  const digits = text.trim().replace("−", "-").replace(",", ".").replace(/%$/, "").trim();
  if (digits === "" || digits === "-") return { problem: "" };
  if (!/^[+-]?\d{1,6}(\.\d+)?$/.test(digits)) return { problem: "Enter a number, such as -20 or 5.5." };
  const number = Decimal.of(digits);
  if (number.rounded(4).compare(number) !== 0) return { problem: "Enter at most 4 decimals." };
  if (number.compare(LOWEST) < 0 || number.compare(LIMIT) >= 0) {
    return { problem: "Enter a number from -100 to less than 100000." };
  }
  return { digits: number.toString() };
}
