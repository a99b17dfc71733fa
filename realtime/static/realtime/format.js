/**
 * Numbers as people read them: never scientific, "—" for what is not known, a minus that screen readers say.
 *
 * Everything takes strings of digits, which Intl.NumberFormat formats exactly, and null.
 */

import { Decimal } from "./decimal.js";

export const UNKNOWN = "—";

const LOCALE = "en-US"; // the language of the page
const ONE = Decimal.of("1");
const THOUSAND = Decimal.of("1000");
const MILLION = Decimal.of("1000000");
const BILLION = Decimal.of("1000000000");
const formatters = new Map();
// Made once: toLocaleString makes one at every call, which took a fifth of a tick's time (2026-11-25).
const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const MOMENT = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** Tokens held: whole tokens matter for a million, small parts for a tenth; billions are told as such. */
export function amount(digits) {
  return show(digits, (number) => {
    if (magnitude(number).compare(BILLION) >= 0) return { notation: "compact", maximumSignificantDigits: 5 };
    return small(number) ? { maximumSignificantDigits: 5 } : { maximumFractionDigits: parts(number) };
  });
}

/** SOL for one token: five digits that count, however far behind the point; many zeros as their number. */
export function price(digits) {
  return countZeros(
    show(digits, (number) =>
      small(number) ? { minimumSignificantDigits: 5, maximumSignificantDigits: 5 } : fixed(4),
    ),
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
  return countZeros(
    show(digits, (number) => ({
      style: "currency",
      currency: "USD",
      ...(small(number) ? { minimumSignificantDigits: 4, maximumSignificantDigits: 4 } : fixed(2)),
    })),
  );
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
  return Number.isNaN(time.getTime()) ? UNKNOWN : CLOCK.format(time);
}

/** How long ago, in the largest unit that fits: "14 m", "5 h", "3 d". */
export function age(milliseconds) {
  const minutes = Math.floor(milliseconds / 60_000);
  if (Number.isNaN(minutes)) return UNKNOWN;
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} m`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

/** Day and time of an ISO timestamp, where the reader is. */
export function moment(timestamp) {
  const time = new Date(timestamp);
  return Number.isNaN(time.getTime()) ? UNKNOWN : MOMENT.format(time);
}

/** 0.0000001234 as 0.0₆1234: nobody counts six zeros. */
function countZeros(text) {
  return text.replace(/(0\.)(0{4,})(?=[1-9])/, (_, point, zeros) => `${point}0${subscript(zeros.length)}`);
}

const subscript = (number) => [...String(number)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("");
const tiny = { maximumSignificantDigits: 2 };
const fixed = (decimals) => ({ minimumFractionDigits: decimals, maximumFractionDigits: decimals });
const magnitude = (number) => (number.sign < 0 ? Decimal.of("0").minus(number) : number);
const small = (number) => number.sign !== 0 && magnitude(number).compare(ONE) < 0;
const parts = (number) => (magnitude(number).compare(MILLION) >= 0 ? 0 : magnitude(number).compare(THOUSAND) >= 0 ? 2 : 4);
/** Whether the number, which is not zero, would show as zero. */
const vanishes = (number, decimals) => number.sign !== 0 && magnitude(number).rounded(decimals).sign === 0;

function show(digits, options, unit = "") {
  if (digits === null || digits === undefined) return UNKNOWN;
  const number = Decimal.of(digits);
  return formatter(options(number)).format(number.toString()).replace("-", "−") + unit;
}

function formatter(options) {
  const key = Object.entries(options).join();
  if (!formatters.has(key)) {
    formatters.set(key, new Intl.NumberFormat(LOCALE, { roundingMode: "halfEven", ...options }));
  }
  return formatters.get(key);
}
