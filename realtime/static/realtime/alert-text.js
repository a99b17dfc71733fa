/**
 * What an alert says. No DOM, no I/O.
 *
 * @import { Kind, Way } from "./alert-settings.js"
 * @import { Item } from "./alert-watch.js"
 */

import * as format from "./format.js";

const NAMED = 4;

/**
 * Something to tell, of one agent: `items` of the same kind that came shortly after one another.
 *
 * @typedef {object} Alert
 * @property {string} id of this alert: one that grows keeps it
 * @property {Kind | "try"} kind
 * @property {string} agentId
 * @property {string} agentName
 * @property {Item[]} items
 * @property {Way[]} ways
 * @property {number} at milliseconds of the epoch
 */

/**
 * @param {Alert} alert
 */
export function textOf({ kind, items }) {
  const [first] = items;
  const symbol = format.symbol(first?.symbol ?? "");
  switch (kind) {
    case "closed":
      if (items.length > 1) return `${items.length} positions closed: ${listed(items)}.`;
      return first.detail ? `${symbol} closed: ${first.detail}.` : `${symbol} closed.`;
    case "stop":
      if (items.length > 1) return `${items.length} stop losses are near: ${listed(items)}.`;
      if (first.detail === "reached") return `${symbol} has reached its stop loss.`;
      return `${symbol} is near its stop loss: it sells ${first.detail} lower.`;
    case "price":
      if (items.length > 1) return `${items.length} prices are not live any more: ${listed(items)}.`;
      return `The price of ${symbol} is not live any more: ${first.detail}.`;
    case "connection":
      if (first.detail === "back") return "Connected again.";
      return "The connection is lost: the figures are out of date, and there are no alerts until it is back.";
    default:
      return "This is what an alert looks like.";
  }
}

/** @param {Item[]} items */
function listed(items) {
  const named = items.slice(0, NAMED).map(({ symbol, detail }) => {
    return `${format.symbol(symbol)}${detail ? ` (${detail})` : ""}`;
  });
  const more = items.length - named.length;
  return [...named, ...(more ? [`${more} more`] : [])].join(", ");
}

/**
 * What became of a closed position.
 *
 * @param {Wire.PositionOnRest} position
 */
export function resultOf({ profitLossSol, profitLossPercent, closeReason }) {
  const percent = format.percent(profitLossPercent, format.signed);
  const why = closeReason ? `, ${closeReason}` : "";
  return `${format.sol(profitLossSol, format.signed)} SOL, ${percent}${why}`;
}
