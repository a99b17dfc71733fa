/**
 * Points of a chart: gaps stay gaps, and of more points than there is room for, several become one. Pure.
 */

/**
 * One moment, minute or hour, with its figures in digits.
 *
 * @typedef {object} Point
 * @property {number} at when it begins, milliseconds of the epoch
 * @property {Wire.Digits} open
 * @property {Wire.Digits} high
 * @property {Wire.Digits} low
 * @property {Wire.Digits} close
 * @property {Wire.Digits | null} [closeUsd]
 */

const MINUTE_MS = 60_000;
// Lengths at which clocks have a mark.
const NICE_MINUTES = [1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 10_080];

/**
 * Runs of points without a gap.
 *
 * @template {{gap?: boolean}} P
 * @param {P[]} points oldest first; `gap` where there is one before it.
 */
export function runs(points) {
  /** @type {P[][]} */
  const found = [];
  for (const point of points) {
    if (point.gap || found.length === 0) found.push([]);
    found[found.length - 1].push(point);
  }
  return found;
}

/**
 * The length that a point needs for `most` of them to fill the span, a multiple of `least`.
 *
 * @param {number} span milliseconds
 * @param {number} least milliseconds
 * @param {number} most
 */
export function lengthFor(span, least, most) {
  const wanted = Math.max(least, span / most);
  return (NICE_MINUTES.find((each) => each * MINUTE_MS >= wanted) ?? 43_200) * MINUTE_MS;
}

/**
 * One point of two, of which `second` is the later one.
 *
 * @template {Point} P
 * @param {P} first
 * @param {P} second
 * @returns {P}
 */
export function joined(first, second) {
  return {
    ...second,
    at: first.at,
    open: first.open,
    high: Number(second.high) > Number(first.high) ? second.high : first.high,
    low: Number(second.low) < Number(first.low) ? second.low : first.low,
  };
}

/**
 * Join the points of each stretch of this length; a stretch without any has none.
 *
 * @template {Point} P
 * @param {P[]} points oldest first
 * @param {number} length milliseconds
 */
export function gathered(points, length) {
  /** @type {P[]} */
  const found = [];
  for (const point of points) {
    const at = Math.floor(point.at / length) * length;
    const last = found.at(-1);
    if (last?.at === at) found[found.length - 1] = joined(last, point);
    else found.push({ ...point, at });
  }
  return found;
}

/** The candles of one token: what the server has recorded, continued by what arrives. */
export class Candles {
  /** @type {Map<number, Point>} by when it begins, oldest first */
  #recorded = new Map();
  /** @type {Map<number, Point>} likewise */
  #live = new Map();

  /** @param {number} length milliseconds of one */
  constructor(length) {
    this.length = length;
  }

  /**
   * Add what the server has recorded, instead of what it had before of the same time.
   *
   * @param {Wire.CandleOnRest[]} candles oldest first
   */
  record(candles) {
    for (const { start, ...figures } of candles) {
      const at = Date.parse(start);
      this.#recorded.set(at, { at, ...figures });
    }
  }

  /**
   * A price has come; returns whether it is new.
   *
   * @param {number} at milliseconds of the epoch
   * @param {Wire.Digits} price
   * @param {Wire.Digits | null} priceUsd
   */
  tick(at, price, priceUsd) {
    const start = Math.floor(at / this.length) * this.length;
    const before = this.#live.get(start);
    if (before?.close === price && before.closeUsd === priceUsd) return false;
    const point = { at: start, open: price, high: price, low: price, close: price, closeUsd: priceUsd };
    this.#live.set(start, before ? joined(before, point) : point);
    return true;
  }

  /** All of them, oldest first. The recorded part of a minute goes before what has come in it since. */
  get points() {
    const all = new Map(this.#recorded);
    for (const [at, live] of this.#live) {
      const recorded = all.get(at);
      all.set(at, recorded ? joined(recorded, live) : live);
    }
    return [...all.values()].sort((a, b) => a.at - b.at);
  }

  /** Where the recorded ones end: when the last of them begins; null without any. */
  get recordedTo() {
    return [...this.#recorded.keys()].at(-1) ?? null;
  }

  /** When the first begins that only arrived; null without any. */
  get liveFrom() {
    return [...this.#live.keys()].find((at) => !this.#recorded.has(at)) ?? null;
  }
}
