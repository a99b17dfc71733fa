/**
 * Numbers as people read them: never scientific, "—" for what is not known, a minus that screen readers say.
 *
 * Everything takes strings of digits, which Intl.NumberFormat formats exactly, and null.
 */

import { Decimal } from "./decimal.js";

export const UNKNOWN = "—";

const LOCALE = "en-US"; // the language of the page
const ONE = Decimal.of("1");
const formatters = new Map();

/** Tokens held: whole tokens matter for a million, small parts for a tenth. */
export function amount(digits) {
  return show(digits, (number) =>
    small(number) ? { maximumSignificantDigits: 5 } : { maximumFractionDigits: whole(number) ? 2 : 4 },
  );
}

/** SOL for one token: five digits that count, however far behind the point. */
export function price(digits) {
  return show(digits, (number) =>
    small(number) ? { minimumSignificantDigits: 5, maximumSignificantDigits: 5 } : fixed(4),
  );
}

/** A sum of SOL. */
export function sol(digits, options) {
  return show(digits, (number) => ({ ...(vanishes(number, 4) ? tiny : fixed(4)), ...options }));
}

/** A sum of USD. */
export function usd(digits, options) {
  return show(digits, (number) => ({
    style: "currency",
    currency: "USD",
    ...(vanishes(number, 2) ? tiny : fixed(2)),
    ...options,
  }));
}

/** A price in USD, of one token. */
export function usdPrice(digits) {
  return show(digits, (number) => ({
    style: "currency",
    currency: "USD",
    ...(small(number) ? { minimumSignificantDigits: 4, maximumSignificantDigits: 4 } : fixed(2)),
  }));
}

/** Percent: "12.5" is 12.5 %. */
export function percent(digits, options) {
  return show(digits, () => ({ ...fixed(2), ...options }), "%");
}

/** A percentage that someone chose, without zeros that were not typed. */
export function chosenPercent(digits) {
  return show(digits, () => ({ maximumFractionDigits: 4, ...signed }), "%");
}

/** Options: a plus for gains, nothing for zero. */
export const signed = Object.freeze({ signDisplay: "exceptZero" });

/** "up", "down" or "", of a change in digits. */
export function direction(digits) {
  if (digits === null || digits === undefined) return "";
  return { "-1": "down", 0: "", 1: "up" }[Decimal.of(digits).sign];
}

/** An address as short as eyes can compare it. */
export function shortAddress(address) {
  return address.length > 12 ? `${address.slice(0, 4)}…${address.slice(-4)}` : address;
}

/** The time of day of an ISO timestamp, where the reader is. */
export function clock(timestamp) {
  const time = new Date(timestamp);
  return Number.isNaN(time.getTime()) ? UNKNOWN : time.toLocaleTimeString(LOCALE, { hour12: false });
}

const tiny = { maximumSignificantDigits: 2 };
const fixed = (decimals) => ({ minimumFractionDigits: decimals, maximumFractionDigits: decimals });
const magnitude = (number) => (number.sign < 0 ? Decimal.of("0").minus(number) : number);
const small = (number) => number.sign !== 0 && magnitude(number).compare(ONE) < 0;
const whole = (number) => magnitude(number).compare(Decimal.of("1000")) >= 0;
/** Whether the number, which is not zero, would show as zero. */
const vanishes = (number, decimals) => number.sign !== 0 && magnitude(number).rounded(decimals).sign === 0;

function show(digits, options, unit = "") {
  if (digits === null || digits === undefined) return UNKNOWN;
  const number = Decimal.of(digits);
  return formatter(options(number)).format(number.toString()).replace("-", "−") + unit;
}

function formatter(options) {
  const key = JSON.stringify(options);
  if (!formatters.has(key)) {
    formatters.set(key, new Intl.NumberFormat(LOCALE, { roundingMode: "halfEven", ...options }));
  }
  return formatters.get(key);
}
