/**
 * The trades of a position in the chart of its price: in words, and as marks. Pure.
 *
 * @import { Mark } from "./chart-layout.js"
 * @import { Point } from "./chart-points.js"
 * @import { Source } from "./price-data.js"
 */

import { Decimal } from "./decimal.js";
import * as format from "./format.js";
import * as times from "./times.js";

const DIGITS = 18; // of a price
/** @type {Record<string, [verb: string, kind: Mark["kind"]]>} */
const SIDES = {
  purchase: ["bought", "buy"],
  sale: ["sold", "sell"],
  airdrop: ["airdropped", "other"],
  transfer_in: ["transferred in", "other"],
  transfer_out: ["transferred out", "other"],
  migration: ["migrated to", "other"],
  balance: ["corrected to", "other"],
};

/**
 * What was traded in each point's time, in words, by when the point begins.
 *
 * @param {Source} source
 * @param {Point[]} points
 * @param {number} length
 */
export function tradesBy({ trades, money }, points, length) {
  /** @type {Map<number, string[]>} */
  const found = new Map();
  const starts = new Set(points.map(({ at }) => at));
  for (const trade of trades) {
    const at = Math.floor(Date.parse(trade.executedAt) / length) * length;
    // In a gap: with the point before it, and its own time.
    const start = starts.has(at) ? at : (points.findLast((point) => point.at < at)?.at ?? points[0].at);
    const time = start === at ? "" : `${times.moment(trade.executedAt)}: `;
    const [verb, kind] = SIDES[trade.side] ?? [trade.side, "other"];
    const price = unitPrice(trade);
    const terms = kind === "other" || price === null ? "" : ` at ${money.price(price)}`;
    found.set(start, [...(found.get(start) ?? []), `${time}${verb} ${format.amount(trade.tokens)}${terms}`]);
  }
  return found;
}

/**
 * SOL for one token, without the fee; null where no tokens were traded.
 *
 * @param {Wire.TradeOnRest} trade
 */
function unitPrice({ side, tokens, sol, feeSol }) {
  const amount = Decimal.of(tokens);
  if (amount.sign === 0) return null;
  const fee = Decimal.of(feeSol);
  const paid = side === "sale" ? Decimal.of(sol).plus(fee) : Decimal.of(sol).minus(fee);
  return String(paid.over(amount, DIGITS));
}

/**
 * @param {Wire.TradeOnRest} trade
 * @param {Source} source
 * @param {Point[]} points
 * @returns {Mark[]}
 */
export function markOf(trade, { money, usd }, points) {
  const at = Date.parse(trade.executedAt);
  const [, kind] = SIDES[trade.side] ?? ["", "other"];
  const price = unitPrice(trade);
  const near = points.findLast((point) => point.at <= at) ?? points[0];
  if (kind === "other" || price === null) return [{ kind: "other", at, figure: Number(near.close) }];
  const figure = usd && trade.solUsd !== null ? Number(price) * Number(trade.solUsd) : money.double(price, usd);
  return [{ kind, at, figure }];
}
