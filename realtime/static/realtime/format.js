/**
 * Numbers as people read them: never scientific, "—" for unknown, a minus sign that screen readers say.
 *
 * Everything takes strings of digits, which Intl.NumberFormat formats exactly, and null.
 *
 * @typedef {Intl.NumberFormatOptions} Options
 */

import { Decimal, ZERO } from "./decimal.js";
import { combined, formatter } from "./formatters.js";

export const UNKNOWN = "—";

const ONE = Decimal.of("1");
const THOUSAND = Decimal.of("1000");
const MILLION = Decimal.of("1000000");
const TEN_MILLION = Decimal.of("10000000");
const BILLION = Decimal.of("1000000000");
const TRILLION = Decimal.of("1000000000000");
// What has no direction other than the sentence's.
const PLAIN = /^[A-Za-z][\w $.-]*$/;

/**
 * An amount of tokens: no decimals for a million, more for smaller amounts; billions are shortened.
 *
 * @param {string | null} digits
 */
export function amount(digits) {
  return show(digits, (number) => {
    if (magnitude(number).compare(BILLION) >= 0) return compact;
    return small(number) ? AT_MOST_5 : { maximumFractionDigits: decimalsOf(number) };
  });
}

/**
 * SOL for one token: five significant digits, however far behind the point; many zeros as their number.
 *
 * @param {string | null} digits
 */
export function price(digits) {
  return countZeros(
    show(digits, (number) => (small(number) ? EXACTLY_5 : fixed(4))),
  );
}

/**
 * A sum of SOL.
 *
 * @param {string | null} digits
 * @param {Options} [options]
 */
export function sol(digits, options) {
  return show(digits, (number) => (options?.notation ? options : combined(sum(number, 4), options)));
}

/**
 * A sum of USD.
 *
 * @param {string | null} digits
 * @param {Options} [options]
 */
export function usd(digits, options) {
  return show(digits, (number) =>
    options?.notation ? combined(DOLLARS, options) : combined(combined(DOLLARS, sum(number, 2)), options),
  );
}

/**
 * How a sum is shown where there is room for ten characters, in large type: from ten million on with five digits.
 *
 * @param {string | null} digits
 * @returns {Options}
 */
export function headline(digits) {
  return digits !== null && magnitude(Decimal.of(digits)).compare(TEN_MILLION) >= 0 ? compact : {};
}

/**
 * A price in USD, of one token.
 *
 * @param {string | null} digits
 */
export function usdPrice(digits) {
  return countZeros(
    show(digits, (number) => combined(DOLLARS, small(number) ? EXACTLY_4 : fixed(2))),
  );
}

/**
 * Percent: "12.5" is 12.5 %.
 *
 * @param {string | null} digits
 * @param {Options} [options]
 */
export function percent(digits, options) {
  return show(digits, () => combined(fixed(2), options), "%");
}

/**
 * A percentage that someone chose, without trailing zeros.
 *
 * @param {string | null} digits
 */
export function chosenPercent(digits) {
  return show(digits, () => CHOSEN, "%");
}

/**
 * Options: a plus for gains, nothing for zero.
 *
 * @type {Options}
 */
export const signed = Object.freeze({ signDisplay: "exceptZero" });

/**
 * "up", "down" or "", of a change in digits.
 *
 * @param {string | null} digits
 */
export function direction(digits) {
  const { sign } = Decimal.of(digits ?? 0);
  if (sign === 0) return "";
  return sign > 0 ? "up" : "down";
}

/**
 * Take-profit levels: "2 of 4" with a plan, "2×" without.
 *
 * @param {number} hit
 * @param {number | null} planned
 */
export function levels(hit, planned) {
  if (planned !== null) return `${hit} of ${planned}`;
  return hit ? `${hit}×` : UNKNOWN;
}

/**
 * An address, shortened to what eyes can compare.
 *
 * @param {string} address
 */
export function shortAddress(address) {
  return address.length > 12 ? `${address.slice(0, 4)}…${address.slice(-4)}` : address;
}

/**
 * A token's symbol within a sentence: isolated, so that whatever it has in it turns nothing else around.
 *
 * @param {string} text
 */
export const symbol = (text) => (PLAIN.test(text) ? text : `\u2068${text}\u2069`);

/**
 * A number with this many decimals; `short` for one of seven digits and more.
 *
 * @param {number} number
 * @param {number} decimals
 */
export const grouped = (number, decimals, short = false) => formatter(short ? compact : fixed(decimals)).format(number);

/**
 * 0.0000001234 as 0.0₆1234: long runs of zeros are unreadable.
 *
 * @param {string} text
 */
export function countZeros(text) {
  return text.replace(/(0\.)(0{4,})(?=[1-9])/, (_, point, zeros) => `${point}0${subscript(zeros.length)}`);
}

/**
 * 0.0₆1234 as 0.0000001234: what a screen reader can read.
 *
 * @param {string} text
 */
export function spelled(text) {
  /** @param {string} count */
  const zeros = (count) => Number([...count].map((digit) => SUBSCRIPTS.indexOf(digit)).join(""));
  return text.replace(/0([₀-₉]+)/g, (_, count) => "0".repeat(zeros(count)));
}

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
/** @param {number} number */
const subscript = (number) => [...String(number)].map((digit) => SUBSCRIPTS[Number(digit)]).join("");
const tiny = { maximumSignificantDigits: 2 };
/** @type {Options} */
const compact = { notation: "compact", maximumSignificantDigits: 5 };
/** @type {Options} */
const DOLLARS = { style: "currency", currency: "USD" };
/** @type {Options} */
const CHOSEN = { maximumFractionDigits: 4, ...signed };
const AT_MOST_5 = { maximumSignificantDigits: 5 };
const EXACTLY_5 = { minimumSignificantDigits: 5, maximumSignificantDigits: 5 };
const EXACTLY_4 = { minimumSignificantDigits: 4, maximumSignificantDigits: 4 };
/** @type {Options[]} by their number */
const FIXED = [];
/** @param {number} decimals */
const fixed = (decimals) =>
  (FIXED[decimals] ??= { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
/** @param {Decimal} number */
const magnitude = (number) => (number.sign < 0 ? ZERO.minus(number) : number);
/** @param {Decimal} number */
const small = (number) => number.sign !== 0 && magnitude(number).compare(ONE) < 0;

/** @param {Decimal} number */
function decimalsOf(number) {
  if (magnitude(number).compare(MILLION) >= 0) return 0;
  return magnitude(number).compare(THOUSAND) >= 0 ? 2 : 4;
}

/**
 * How a sum is shown: trillions are shortened, and what would vanish has two digits.
 *
 * @param {Decimal} number
 * @param {number} places
 * @returns {Options}
 */
function sum(number, places) {
  if (magnitude(number).compare(TRILLION) >= 0) return compact;
  return vanishes(number, places) ? tiny : fixed(places);
}

/**
 * Whether the number, which is not zero, would be shown as zero.
 *
 * @param {Decimal} number
 * @param {number} places
 */
const vanishes = (number, places) => number.sign !== 0 && magnitude(number).rounded(places).sign === 0;

/**
 * @param {string | null} digits
 * @param {(number: Decimal) => Options} options
 */
function show(digits, options, unit = "") {
  if (digits === null) return UNKNOWN;
  const number = Decimal.of(digits);
  // Typed as a number; a string is formatted digit for digit (ECMA-402, Intl.NumberFormat v3).
  const exact = /** @type {`${number}`} */ (number.toString());
  return formatter(options(number)).format(exact).replace("-", "−") + unit;
}
