/**
 * What the chart of a position's price shows: candles or a line, the average price and the stop loss as they were, its
 * trades, and the last price. Pure.
 *
 * @import { Content, Row } from "./chart-figure.js"
 * @import { Level } from "./chart-layout.js"
 * @import { Point } from "./chart-points.js"
 * @import { Money } from "./currency.js"
 */

import { stopLossPrice } from "./accounting.js";
import { axisText } from "./chart-scale.js";
import { gathered, lengthFor } from "./chart-points.js";
import { Decimal } from "./decimal.js";
import * as format from "./format.js";
import { markOf, tradesBy } from "./price-trades.js";
import * as times from "./times.js";

/**
 * @typedef {object} Source
 * @property {"candles" | "line"} kind
 * @property {Point[]} points oldest first
 * @property {number} length milliseconds of one
 * @property {number} from milliseconds of the epoch
 * @property {number} to
 * @property {Wire.LivePosition} position
 * @property {boolean} isOpen
 * @property {boolean} isLive whether its price is
 * @property {Wire.EventOnRest[]} events its own, oldest first
 * @property {Wire.TradeOnRest[]} trades oldest first
 * @property {Money} money
 * @property {boolean} usd whether figures are in USD; SOL else
 */

const MOST_CANDLES = 80;
const MOST_DOTS = 300;
const ROOM = 0.03; // before the first trade
const DIGITS = 18; // of a price worked out in USD
/**
 * Everything of the chart; null where there is not a single price.
 *
 * @param {Source} source
 * @returns {Content | null}
 */
export function priceContent(source) {
  const { kind, from, to, isOpen, usd } = source;
  const length = lengthFor(to - from, source.length, kind === "candles" ? MOST_CANDLES : MOST_DOTS);
  const points = gathered(usd ? source.points.flatMap(inUsd) : source.points, length);
  if (points.length === 0) return null;
  const dots = points.map((point, index) => ({
    at: Math.min(point.at + length, Math.max(to, point.at + 1)),
    length,
    close: Number(point.close),
    open: Number(point.open),
    high: Number(point.high),
    low: Number(point.low),
    gap: index > 0 && point.at - points[index - 1].at > length,
  }));
  const end = Math.max(to, dots[dots.length - 1].at);
  const start = Math.min(from, points[0].at);
  const trades = tradesBy(source, points, length);
  const unit = usd ? "USD" : "SOL";
  const write = usd ? format.usdPrice : format.price;
  return {
    drawing: {
      kind,
      from: start - (end - start) * ROOM,
      to: end,
      dots,
      base: null,
      direction: format.direction(String(dots[dots.length - 1].close - dots[0].open)),
      levels: levelsOf(source, dots[dots.length - 1], write(points[points.length - 1].close)),
      marks: source.trades.flatMap((trade) => markOf(trade, source, points)),
      axis: axisText,
    },
    textOf: (index) => {
      const { open, high, low, close } = points[index];
      const time = times.moment(new Date(kind === "line" ? dots[index].at : points[index].at).toISOString());
      const figures = kind === "line"
        ? write(close)
        : `open ${write(open)}, high ${write(high)}, low ${write(low)}, close ${write(close)}`;
      return [`${time}: ${figures}${usd ? "" : " SOL"}`, ...(trades.get(points[index].at) ?? [])].join("; ");
    },
    columns: ["Time", "Open", "High", "Low", "Close", "Trades"],
    rows: () => points.map((point) => rowOf(point, trades, { write, unit })).reverse(),
    caption: captionOf(points, dots, { length, write, unit: usd ? "" : " SOL", from: start, isOpen }),
  };
}

/**
 * A point in USD, at the price that SOL had at its end; nothing where that is not known.
 *
 * @param {Point} point
 * @returns {Point[]}
 */
function inUsd({ closeUsd = null, ...point }) {
  const close = Decimal.of(point.close);
  if (closeUsd === null || close.sign === 0) return [];
  /** @param {Wire.Digits} digits */
  const at = (digits) =>
    digits === point.close ? closeUsd : String(Decimal.of(digits).times(Decimal.of(closeUsd)).over(close, DIGITS));
  return [{ at: point.at, open: at(point.open), high: at(point.high), low: at(point.low), close: closeUsd }];
}

/**
 * The average price, the stop loss, and the last price.
 *
 * @param {Source} source
 * @param {{at: number, close: number}} last
 * @param {string} lastText
 * @returns {Level[]}
 */
function levelsOf({ position, events, isOpen, isLive, money, usd }, last, lastText) {
  const steps = events.flatMap(({ timestamp, position: then }) => (then ? [{ at: Date.parse(timestamp), then }] : []));
  // Booked later than it happened: what it was then, it was from its opening on.
  if (events[0]?.eventType === "position_created") steps[0].at = Math.min(steps[0].at, Date.parse(position.createdAt));
  steps.push({ at: steps.length ? last.at : Date.parse(position.createdAt), then: position });
  /**
   * @param {string} kind
   * @param {string} name
   * @param {(then: Wire.StoredPosition) => Wire.Digits | null} priceOf
   * @returns {Level[]}
   */
  const level = (kind, name, priceOf) => {
    const now = priceOf(position);
    if (now === null) return [];
    // From when on there always was one.
    const since = steps.findLastIndex(({ then }) => priceOf(then) === null) + 1;
    const dots = steps.slice(since).map(({ at, then }) => ({ at, close: money.double(priceOf(then) ?? now, usd) }));
    return [{ kind, name, dots, text: bare(money.price(now)) }];
  };
  const levels = [
    ...level("average", "average", ({ purchasePrice }) => purchasePrice),
    ...level("stop", "stop", ({ purchasePrice, currentStopLossPercentage }) =>
      stopLossPrice(purchasePrice, currentStopLossPercentage)),
  ];
  if (isOpen) levels.push({ kind: isLive ? "last" : "last not-live", name: "", dots: [last], text: lastText });
  return levels;
}

/**
 * @param {Point} point
 * @param {Map<number, string[]>} trades
 * @param {{write: (digits: Wire.Digits) => string, unit: string}} options
 * @returns {Row}
 */
function rowOf({ at, open, high, low, close }, trades, { write, unit }) {
  const figures = [open, high, low, close].map((digits) => ({ text: write(digits), title: `${digits} ${unit}` }));
  const time = { text: times.moment(new Date(at).toISOString()) };
  return { key: String(at), cells: [time, ...figures, { text: trades.get(at)?.join("; ") ?? "" }] };
}

/**
 * @param {Point[]} points
 * @param {{gap: boolean}[]} dots
 * @param {object} options
 * @param {number} options.length
 * @param {(digits: Wire.Digits) => string} options.write
 * @param {string} options.unit
 * @param {number} options.from
 * @param {boolean} options.isOpen
 */
function captionOf(points, dots, { length, write, unit, from, isOpen }) {
  /** @param {(a: number, b: number) => boolean} wins */
  const extreme = (wins, /** @type {"high" | "low"} */ name) =>
    points.reduce((best, point) => (wins(Number(point[name]), Number(best[name])) ? point : best))[name];
  const low = extreme((a, b) => a < b, "low");
  const high = extreme((a, b) => a > b, "high");
  const range = `${write(low)} to ${write(high)}${unit}`;
  const since = isOpen ? ` since ${times.moment(new Date(from).toISOString())}` : " while it was held";
  const gaps = dots.some(({ gap }) => gap) ? "; where nothing is drawn, no live price was recorded" : "";
  return `${range}${since}, by ${spanText(length)}${gaps}`;
}

/** @param {number} milliseconds */
function spanText(milliseconds) {
  const minutes = milliseconds / 60_000;
  if (minutes === 1) return "the minute";
  if (minutes < 60) return `${minutes} minutes`;
  if (minutes === 60) return "the hour";
  return minutes < 1440 ? `${minutes / 60} hours` : `${minutes / 1440} d`;
}

/** @param {string} text */
const bare = (text) => text.replace(" SOL", "");
