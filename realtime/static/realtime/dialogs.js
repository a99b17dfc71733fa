/**
 * What the dialogs say before something is sold or a stop loss moved, and how they read what is typed. No DOM.
 *
 * @import { Note } from "./price-status.js"
 */

import { resultOfSale, stopLossPrice } from "./accounting.js";
import { moneyOf } from "./currency.js";
import { Decimal, HUNDRED } from "./decimal.js";
import * as format from "./format.js";

const LOWEST = Decimal.of("-100");
const LIMIT = Decimal.of("100000");
const LONGEST_NOTE = 200;
const SOL_LIMIT = Decimal.of("100000000000");

/**
 * What was typed, or what is wrong with it: "" while nothing is typed.
 *
 * @typedef {{digits: Wire.Digits, problem?: undefined} | {digits?: undefined, problem: string}} Typed
 */

export const GONE = "This position was closed meanwhile: there is nothing left to do here.";

/**
 * What a sale does.
 *
 * @param {Wire.LivePosition} position
 * @param {Note} note how reliable its price is
 * @param {{tokens: Wire.Digits, all: boolean} | null} part null while no amount is chosen
 * @param {Wire.Digits | undefined} proceedsSol what the sale brought, where that is named
 */
export function sellingText(position, note, part, proceedsSol) {
  if (part === null) return "";
  const money = moneyOf(position);
  const { tokens, all } = part;
  const [symbol, held] = [format.symbol(position.tokenSymbol), format.amount(position.remainingAmount)];
  const what = `This sells ${all ? `all ${held}` : `${format.amount(tokens)} of ${held}`} ${symbol}`;
  if (proceedsSol !== undefined) {
    const sum = `${format.sol(proceedsSol)} SOL`;
    return `${what} for ${sum}. ${outcome(position, part, proceedsSol)}`;
  }
  if (note.status !== "live") return `${what}. ${note.meaning} So it cannot be sold at the market price.`;
  const market = String(Decimal.of(position.currentPrice).times(Decimal.of(tokens)).rounded(9));
  const price = money.price(position.currentPrice);
  return `${what} at about ${price} each, for about ${money.sum(market)}. ${outcome(position, part, market)}`;
}

/**
 * What comes of a sale: the result of the position, or the profit and what remains.
 *
 * @param {Wire.LivePosition} position
 * @param {{tokens: Wire.Digits, all: boolean}} part
 * @param {Wire.Digits} proceedsSol
 */
function outcome(position, { tokens, all }, proceedsSol) {
  const money = moneyOf(position);
  if (all) {
    const { profitLossSol, profitLossPercent } = resultOfSale(position, proceedsSol);
    const percent = format.percent(profitLossPercent, format.signed);
    return `The result of the position is then ${money.sum(profitLossSol, format.signed)} (${percent}).`;
  }
  const cost = Decimal.of(position.purchasePrice).times(Decimal.of(tokens));
  const profit = String(Decimal.of(proceedsSol).minus(cost).rounded(9));
  const left = String(Decimal.of(position.remainingAmount).minus(Decimal.of(tokens)));
  return `The profit of the sale is ${money.sum(profit, format.signed)}; ${format.amount(left)} remain.`;
}

/**
 * What has happened to the holding while the dialog was open.
 *
 * @param {Wire.LivePosition} position
 * @param {Wire.Digits} seen what was held before
 */
export function changedText({ remainingAmount, tokenSymbol }, seen) {
  const now = `${format.amount(remainingAmount)} ${format.symbol(tokenSymbol)} are held now`;
  return `The holding has changed: ${now}, not ${format.amount(seen)}. Look again before you sell.`;
}

/**
 * What has happened to the stop loss while the dialog was open.
 *
 * @param {Wire.Digits | null} now
 * @param {Wire.Digits | null} seen where it was before
 */
export function movedText(now, seen) {
  const [is, was] = [now, seen].map((digits) => (digits === null ? "none" : format.chosenPercent(digits)));
  return `The stop loss has changed: it is ${is} now, not ${was}. Look again before you move it.`;
}

/**
 * @param {Wire.Digits | null} one
 * @param {Wire.Digits | null} other
 */
export function sameStop(one, other) {
  if (one === null || other === null) return one === other;
  return Decimal.of(one).compare(Decimal.of(other)) === 0;
}

/**
 * Where the stop loss of a position is.
 *
 * @param {Wire.LivePosition} position
 */
export function stopText(position) {
  const { purchasePrice, currentStopLossPercentage: digits } = position;
  if (digits === null) return "none";
  return `${format.chosenPercent(digits)}, at ${moneyOf(position).price(stopLossPrice(purchasePrice, digits))}`;
}

/**
 * This many percent of what is held.
 *
 * @param {Wire.Digits} held
 * @param {string} percent
 */
export function partOf(held, percent) {
  return String(Decimal.of(held).times(Decimal.of(percent)).times(Decimal.of("0.01")).rounded(18));
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
export function consequence(position, note, digits) {
  const { purchasePrice, currentPrice } = position;
  const stop = stopLossPrice(purchasePrice, digits);
  const money = moneyOf(position);
  const at = `The agent sells when the price falls to ${money.price(stop)}`;
  const price = Decimal.of(currentPrice);
  if (note.status !== "live" && note.status !== "none") {
    return `${at}. The last price is ${money.price(currentPrice)}. ${note.meaning}`;
  }
  if (stop === null || note.status === "none" || price.sign === 0) return `${at}. The current price is unknown.`;
  const distance = price.minus(Decimal.of(stop)).over(price, 20).times(HUNDRED).rounded(2);
  if (distance.sign > 0) return `${at}, ${format.percent(String(distance))} below the current price.`;
  return `${at}. The price is ${money.price(currentPrice)}, already at or below that: it may sell at once.`;
}

/**
 * Read an amount of tokens to sell.
 *
 * @param {string} text
 * @param {Wire.Digits} held
 * @returns {Typed}
 */
export function readAmount(text, held) {
  const number = plainNumber(text);
  if (number === null) return { problem: text.trim() === "" ? "" : "Enter an amount of tokens, such as 1250 or 0.75." };
  if (number.sign === 0) return { problem: "Enter an amount above 0." };
  if (number.compare(Decimal.of(held)) > 0) return { problem: `Only ${held} are held.` };
  return { digits: String(number) };
}

/**
 * Read the price of a stop loss, in SOL, as the percentage that it is.
 *
 * @param {string} text
 * @param {Wire.Digits} purchasePrice
 * @returns {Typed}
 */
export function percentageAt(text, purchasePrice) {
  const [price, cost] = [plainNumber(text), Decimal.of(purchasePrice)];
  if (price === null) return { problem: text.trim() === "" ? "" : "Enter a price in SOL, such as 0.0000125." };
  if (cost.sign === 0) return { problem: "The average price is 0, so no price is a percentage of it." };
  return readPercentage(String(price.minus(cost).over(cost, 30).times(HUNDRED).rounded(4)));
}

/**
 * Read a number that is not negative; null where it is none. No comma: in "1,250" it may be a point or none.
 *
 * @param {string} text
 */
function plainNumber(text) {
  const digits = text.trim();
  if (!/^\+?\d*\.?\d+$/.test(digits) || digits.length > 60) return null;
  return Decimal.of(digits.replace(/^\+/, "").replace(/^\./, "0."));
}

/**
 * Read the proceeds of a sale, in SOL.
 *
 * @param {string} text
 * @returns {Typed}
 */
export function readProceeds(text) {
  const number = plainNumber(text);
  if (number === null) return { problem: text.trim() === "" ? "" : "Enter a sum of SOL, such as 1250 or 0.75." };
  if (number.rounded(9).compare(number) !== 0) return { problem: "Enter at most 9 decimals." };
  if (number.compare(SOL_LIMIT) >= 0) return { problem: "Enter less than 100000000000." };
  return { digits: String(number) };
}

/**
 * Read why something is done: undefined where nothing is typed.
 *
 * @param {string} typed
 * @returns {{text: string | undefined, problem?: undefined} | {text?: undefined, problem: string}}
 */
export function readNote(typed) {
  const text = typed.trim();
  const { length } = [...text]; // in characters, as the server counts
  if (length > LONGEST_NOTE) return { problem: `Enter at most ${LONGEST_NOTE} characters; these are ${length}.` };
  return { text: text || undefined };
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
