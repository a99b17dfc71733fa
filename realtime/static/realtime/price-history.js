/**
 * What is known of the price of one position's token over one span: from its opening, or the last day or hour that it
 * was held. No DOM, no I/O.
 */

import { Candles } from "./chart-points.js";

/** @typedef {"hour" | "day" | "all"} Span */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const SPANS_MS = { hour: HOUR_MS, day: 24 * HOUR_MS, all: Infinity };
const FINE_MS = 33 * HOUR_MS; // 2,000 minutes: what one answer has
const KEPT_FINE_MS = 47 * HOUR_MS; // minutes are kept for two days
const SHORTEST_MS = 5 * MINUTE_MS;
const FEW = 3;

export class PriceHistory {
  #ended = new AbortController();
  /** @type {Wire.EventOnRest[]} */
  events = [];
  /** @type {Wire.TradeOnRest[]} */
  trades = [];
  /** What the chart says instead of prices, or of those that it has: null where it has all. @type {string | null} */
  note = "Loading…";
  failed = false;

  /**
   * @param {Wire.LivePosition | Wire.PositionOnRest} position
   * @param {Span} span
   * @param {number} now milliseconds of the epoch
   */
  constructor(position, span, now) {
    this.position = position;
    this.span = span;
    const opened = Date.parse(position.createdAt);
    const end = this.#closedAt ?? now;
    this.from = Math.floor(Math.max(opened, end - SPANS_MS[span]) / MINUTE_MS) * MINUTE_MS;
    const isFine = this.to(now) - this.from <= FINE_MS && now - this.from <= KEPT_FINE_MS;
    this.candles = new Candles(isFine ? MINUTE_MS : HOUR_MS);
  }

  get isOpen() {
    return this.#closedAt === null;
  }

  get #closedAt() {
    const { position } = this;
    return "closedAt" in position && position.closedAt !== null ? Date.parse(position.closedAt) : null;
  }

  /** @param {number} now */
  to(now) {
    const closedAt = this.#closedAt;
    if (closedAt === null) return Math.max(now, this.from + SHORTEST_MS);
    return Math.max(Math.ceil((closedAt + 1) / MINUTE_MS) * MINUTE_MS, this.from + MINUTE_MS);
  }

  get interval() {
    return this.candles.length === MINUTE_MS ? /** @type {const} */ ("1m") : /** @type {const} */ ("1h");
  }

  /** Whether the whole span has next to nothing, as where the feed began not long ago: its last hour may have more. */
  get isTooCoarse() {
    return this.span === "all" && this.isOpen && this.interval === "1h" && this.candles.points.length < FEW;
  }

  get signal() {
    return this.#ended.signal;
  }

  end() {
    this.#ended.abort();
  }
}
