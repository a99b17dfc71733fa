/**
 * Sums over many positions, exact to the digit, at the cost of doubles: they are worked out in every frame.
 *
 * Each part of a sum is rounded, as the server rounds it, to whole lamports or millionths of a USD. A double says which
 * one that is, unless it is so near the middle between two that its own error counts: then, once in some thousand
 * times, Decimals say it. Whole numbers of doubles add up exactly. Pure.
 *
 * @import { Holding, Worth } from "./accounting.js"
 */

import { percent, SOL_DECIMALS, USD_DECIMALS } from "./accounting.js";
import { Decimal, ZERO } from "./decimal.js";

/**
 * The figures of `Worth` in whole lamports and millionths of a USD; null where the rate is unknown.
 *
 * @typedef {{value: number, profit: number, unrealized: number, valueUsd: number | null, profitUsd: number | null,
 *   unrealizedUsd: number | null}} Rounded
 *
 * @typedef {object} Part one position's part of a sum
 * @property {Holding} holding
 * @property {Rounded | null} rounded null where doubles cannot tell
 * @property {Worth} worth
 * @property {Decimal | null} exit what selling it now would bring; null where unknown
 */

const LAMPORTS = 10 ** SOL_DECIMALS;
const MILLIONTHS = 10 ** USD_DECIMALS;
// Of a dozen roundings at most, each by half a unit in the last place (2^-53 of the figure).
const ERROR = 16 * 2 ** -53;
// Two whole numbers below this have a sum that is exact.
const LARGEST = 2 ** 52;

/**
 * What `worth` gives, rounded; null where doubles cannot tell.
 *
 * @param {{cost: number, amount: number, realized: number}} held the nearest doubles of a holding's figures
 * @param {number} price the nearest double
 * @param {number | null} solUsd within three roundings; null where unknown
 * @returns {Rounded | null}
 */
export function roundedWorth({ cost, amount, realized }, price, solUsd) {
  const held = price * amount;
  const unrealized = (price - cost) * amount;
  const profit = realized + unrealized;
  // How far each may be off: a difference of two nearly equal numbers has the error of these, not its own.
  const error = ERROR * ((price + cost) * amount + Math.abs(realized));
  /** @param {number} sol */
  const lamports = (sol) => whole(sol * LAMPORTS, error * LAMPORTS);
  /** @param {number} sol */
  const millionths = (sol) =>
    solUsd === null ? null : whole(sol * solUsd * MILLIONTHS, error * solUsd * MILLIONTHS);
  return certain({
    value: lamports(held),
    profit: lamports(profit),
    unrealized: lamports(unrealized),
    valueUsd: millionths(held),
    profitUsd: millionths(profit),
    unrealizedUsd: millionths(unrealized),
  });
}

/**
 * @param {Rounded} found
 * @returns {Rounded | null}
 */
const certain = (found) => (Object.values(found).some(Number.isNaN) ? null : found);

/**
 * The nearest whole number; NaN where another one may be nearer.
 *
 * @param {number} number
 * @param {number} error how far it may be off
 */
function whole(number, error) {
  const nearest = Math.round(number);
  return 0.5 - Math.abs(number - nearest) > error ? nearest : NaN;
}

/**
 * The same, of figures that are Decimals already.
 *
 * @param {Worth} worth
 * @returns {Rounded | null}
 */
export function roundedOf(worth) {
  /** @param {Decimal | null} usd */
  const millionths = (usd) => usd && unitsOf(usd, USD_DECIMALS);
  return certain({
    value: unitsOf(worth.positionValueSol, SOL_DECIMALS),
    profit: unitsOf(worth.profitLossSol, SOL_DECIMALS),
    unrealized: unitsOf(worth.unrealizedSol, SOL_DECIMALS),
    valueUsd: millionths(worth.positionValueUsd),
    profitUsd: millionths(worth.profitLossUsd),
    unrealizedUsd: millionths(worth.unrealizedUsd),
  });
}

/**
 * The number in units of its last decimal; NaN where no double has it.
 *
 * @param {Decimal} decimal
 * @param {number} decimals
 */
function unitsOf({ units, scale }, decimals) {
  const found = Number(units) * 10 ** (decimals - scale);
  return scale <= decimals && Math.abs(found) < LARGEST ? found : NaN;
}

/** An exact sum; unknown as soon as a part is: a sum that leaves something out is wrong. */
class Sum {
  #units = 0;
  #rest = ZERO;
  #decimals;
  #isKnown = true;

  /** @param {number} decimals that the parts have at most */
  constructor(decimals) {
    this.#decimals = decimals;
  }

  /** @param {number | null} units of the last decimal, a whole number below LARGEST */
  addUnits(units) {
    if (units === null) this.#isKnown = false;
    else this.#units += units;
    if (Math.abs(this.#units) >= LARGEST) this.#carry();
  }

  /** @param {Decimal | null} decimal */
  add(decimal) {
    const units = decimal && unitsOf(decimal, this.#decimals);
    if (decimal && Number.isNaN(units)) this.#rest = this.#rest.plus(decimal);
    else this.addUnits(units);
  }

  #carry() {
    this.#rest = this.#rest.plus(new Decimal(BigInt(this.#units), this.#decimals));
    this.#units = 0;
  }

  /** The sum, of what is known. */
  get total() {
    this.#carry();
    return this.#rest;
  }

  get isKnown() {
    return this.#isKnown;
  }
}

/** The sums of the figures of `Rounded`. */
class Sums {
  value = new Sum(SOL_DECIMALS);
  profit = new Sum(SOL_DECIMALS);
  unrealized = new Sum(SOL_DECIMALS);
  valueUsd = new Sum(USD_DECIMALS);
  profitUsd = new Sum(USD_DECIMALS);
  unrealizedUsd = new Sum(USD_DECIMALS);

  /** @param {Part} part */
  add(part) {
    const { rounded } = part;
    if (rounded) {
      this.value.addUnits(rounded.value);
      this.profit.addUnits(rounded.profit);
      this.unrealized.addUnits(rounded.unrealized);
      this.valueUsd.addUnits(rounded.valueUsd);
      this.profitUsd.addUnits(rounded.profitUsd);
      this.unrealizedUsd.addUnits(rounded.unrealizedUsd);
    } else {
      const { worth } = part;
      this.value.add(worth.positionValueSol);
      this.profit.add(worth.profitLossSol);
      this.unrealized.add(worth.unrealizedSol);
      this.valueUsd.add(worth.positionValueUsd);
      this.profitUsd.add(worth.profitLossUsd);
      this.unrealizedUsd.add(worth.unrealizedUsd);
    }
  }
}

/**
 * Add up positions. Strings of digits; a sum in USD is null where it is unknown.
 *
 * @param {Iterable<Part>} parts
 */
export function totals(parts) {
  const [sums, invested, realized] = [new Sums(), new Sum(SOL_DECIMALS), new Sum(SOL_DECIMALS)];
  let count = 0;
  for (const part of parts) {
    count += 1;
    invested.add(part.holding.totalInvestedSol);
    realized.add(part.holding.realizedProfitSol);
    sums.add(part);
  }
  /** @param {Sum} sum */
  const inUsd = (sum) => (sum.isKnown ? String(sum.total) : null);
  return {
    count,
    investedSol: String(invested.total),
    positionValueSol: String(sums.value.total),
    positionValueUsd: inUsd(sums.valueUsd),
    profitLossSol: String(sums.profit.total),
    profitLossUsd: inUsd(sums.profitUsd),
    profitLossPercent: percent(sums.profit.total, invested.total),
    unrealizedSol: String(sums.unrealized.total),
    unrealizedUsd: inUsd(sums.unrealizedUsd),
    realizedSol: String(realized.total),
  };
}

/**
 * What selling everything would bring now, as far as that is known, as digits: `worthSol` is what the same holdings are
 * worth at their prices, `unknown` the number of those that are left out. Null where nothing is known.
 *
 * @param {Iterable<Part>} parts
 */
export function exitTotals(parts) {
  const [exit, held] = [new Sum(SOL_DECIMALS), new Sum(SOL_DECIMALS)];
  let [known, unknown] = [0, 0];
  for (const part of parts) {
    if (part.exit === null) {
      unknown += 1;
      continue;
    }
    known += 1;
    exit.add(part.exit);
    if (part.rounded) held.addUnits(part.rounded.value);
    else held.add(part.worth.positionValueSol);
  }
  return known === 0 ? null : { exitValueSol: String(exit.total), worthSol: String(held.total), unknown };
}
