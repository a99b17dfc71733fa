/**
 * Times and durations as people read them, in the reader's time zone: "—" for what is no time.
 */

import { UNKNOWN } from "./format.js";
import { LOCALE } from "./formatters.js";

// Made once: toLocaleString makes one at every call, which took a fifth of a tick's time (2026-11-25).
const MINUTE = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const CLOCK = new Intl.DateTimeFormat(LOCALE, { ...MINUTE, second: "2-digit" });
const MOMENT = new Intl.DateTimeFormat(LOCALE, { ...MINUTE, day: "numeric", month: "short" });

/**
 * The time of day of an ISO timestamp, in the reader's time zone.
 *
 * @param {string | Date} timestamp
 */
export function clock(timestamp) {
  const time = new Date(timestamp);
  return Number.isNaN(time.getTime()) ? UNKNOWN : CLOCK.format(time);
}

/**
 * The time of day without seconds.
 *
 * @param {string | Date} timestamp
 */
export const minute = (timestamp) => clock(timestamp).slice(0, 5);

/**
 * How long ago, in the largest unit that fits: "14 m", "5 h", "3 d".
 *
 * @param {number} milliseconds
 */
export function age(milliseconds) {
  const minutes = Math.floor(milliseconds / 60_000);
  if (Number.isNaN(minutes)) return UNKNOWN;
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} m`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

/**
 * How long ago, to the second below a minute: "3 s", "14 m".
 *
 * @param {number} milliseconds
 */
export function seconds(milliseconds) {
  return milliseconds < 60_000 ? `${Math.max(0, Math.floor(milliseconds / 1000))} s` : age(milliseconds);
}

/**
 * Day and time of an ISO timestamp, in the reader's time zone.
 *
 * @param {string} timestamp
 */
export function moment(timestamp) {
  const time = new Date(timestamp);
  return Number.isNaN(time.getTime()) ? UNKNOWN : MOMENT.format(time);
}
