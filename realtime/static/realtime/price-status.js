/**
 * How reliable a position's price is (docs/protocol.md), in words. No DOM, no I/O.
 */

import * as times from "./times.js";

/**
 * What is said of a price: its status, in a word or two for a table ("" where it is live), in a sentence; `at`: when it
 * was last confirmed, or from when on it has been thin.
 *
 * @typedef {{status: Wire.PriceStatus, brief: string, meaning: string, at: Wire.Timestamp | null}} Note
 */
/** @typedef {{priceStatus?: Wire.PriceStatus, priceSource: "live" | "purchase"}} Priced */

/**
 * What the server says of the price; an older one says only whether there is one.
 *
 * @param {Priced} position
 * @returns {Wire.PriceStatus}
 */
export function statusOf({ priceStatus, priceSource }) {
  return priceStatus ?? (priceSource === "live" ? "live" : "none");
}

/** @param {Priced} position */
export const isLive = (position) => statusOf(position) === "live";

/**
 * The status after an update. An update without a status does not change it; but a stale price that comes again is not
 * stale any more, whatever the server's version.
 *
 * @param {Wire.PriceStatus | undefined} before undefined from an older server
 * @param {Wire.PriceStatus | undefined} sent
 */
export function statusAfter(before, sent) {
  if (sent !== undefined) return sent;
  return before === "stale" || before === "none" ? "live" : before;
}

/**
 * @param {Wire.PriceStatus} status
 * @param {Wire.Timestamp | null} since the time of the last price, or from when on it has been thin; null where unknown
 * @param {number} now milliseconds of the epoch
 * @returns {Note}
 */
export function noteOf(status, since, now) {
  const age = since === null ? NaN : now - Date.parse(since);
  return { status, brief: brief(status, age), meaning: meaning(status, since), at: since };
}

/**
 * @param {Wire.PriceStatus} status
 * @param {number} age of the price, in milliseconds; NaN where unknown
 */
function brief(status, age) {
  if (status === "live") return "";
  if (status === "none") return "no price";
  return status === "stale" && age >= 60_000 ? `stale ${times.age(age)}` : status;
}

/**
 * @param {Wire.PriceStatus} status
 * @param {Wire.Timestamp | null} since
 */
function meaning(status, since) {
  if (status === "live") return "The price is live.";
  const at = since === null ? "" : times.moment(since);
  switch (status) {
    case "stale":
      return at ? `This price has not been confirmed since ${at}.` : "This price has not been confirmed for a while.";
    case "thin":
      return `The market is too small, or the price has just jumped: do not rely on it.${at && ` Since ${at}.`}`;
    case "gone":
      return `There is no market any more: nothing can be sold.${at && ` The last price is from ${at}.`}`;
    default: // none
      return "No price is known: the purchase price is used.";
  }
}

/**
 * How many prices are not live, by their status: "2 stale, 1 gone"; "" where all are.
 *
 * @param {Iterable<Wire.PriceStatus>} statuses
 */
export function summarised(statuses) {
  /** @type {Map<Wire.PriceStatus, number>} */
  const counts = new Map([["stale", 0], ["thin", 0], ["gone", 0], ["none", 0]]);
  for (const status of statuses) if (status !== "live") counts.set(status, (counts.get(status) ?? 0) + 1);
  const some = [...counts].filter(([, count]) => count > 0);
  return some.map(([status, count]) => `${count} ${status === "none" ? "without a price" : status}`).join(", ");
}
