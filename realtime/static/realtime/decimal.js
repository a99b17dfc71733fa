/**
 * Exact decimal numbers on BigInt: what the server's `decimal.Decimal` does, as far as accounting needs it.
 *
 * A double holds 16 digits and a price has up to 30; a profit, the difference of two nearly equal numbers, would
 * show the rounding. Pure, no imports.
 */

/** @type {bigint[]} by exponent; as long as the longest number is wide */
const POWERS = [];
const PLAIN = /^-?\d+(?:\.\d+)?$/; // nearly all
const PATTERN = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/;

export class Decimal {
  /**
   * The number is `units` · 10^−`scale`; the scale is never negative.
   *
   * @param {bigint} units
   * @param {number} scale
   */
  constructor(units, scale) {
    this.units = scale < 0 ? units * power(-scale) : units;
    this.scale = Math.max(scale, 0);
    Object.freeze(this);
  }

  /**
   * Read a string of digits, or a number by its shortest digits. Throws RangeError for anything else.
   *
   * @param {Decimal | string | number} value
   */
  static of(value) {
    if (value instanceof Decimal) return value;
    const text = String(value);
    if (PLAIN.test(text)) {
      const point = text.indexOf(".");
      if (point < 0) return new Decimal(BigInt(text), 0);
      return new Decimal(BigInt(text.slice(0, point) + text.slice(point + 1)), text.length - point - 1);
    }
    const match = PATTERN.exec(text);
    if (!match) throw new RangeError(`not a decimal number: ${value}`);
    const [, sign, whole, fraction = "", exponent = "0"] = match;
    const units = BigInt(whole + fraction);
    return new Decimal(sign === "-" ? -units : units, fraction.length - Number(exponent));
  }

  /** −1, 0 or 1. */
  get sign() {
    return Number(this.units > 0n) - Number(this.units < 0n);
  }

  /**
   * −1, 0 or 1: less, equal or greater.
   *
   * @param {Decimal} other
   */
  compare(other) {
    const scale = Math.max(this.scale, other.scale);
    const [units, others] = [this.#unitsAt(scale), other.#unitsAt(scale)];
    return Number(units > others) - Number(units < others);
  }

  /** @param {Decimal} other */
  plus(other) {
    const scale = Math.max(this.scale, other.scale);
    return new Decimal(this.#unitsAt(scale) + other.#unitsAt(scale), scale);
  }

  /** @param {Decimal} other */
  minus(other) {
    return this.plus(new Decimal(-other.units, other.scale));
  }

  /** @param {Decimal} other */
  times(other) {
    return new Decimal(this.units * other.units, this.scale + other.scale);
  }

  /**
   * The quotient, to `precision` significant digits, half to even. Throws RangeError where `other` is zero.
   *
   * @param {Decimal} other
   * @param {number} precision
   */
  over(other, precision) {
    if (other.units === 0n) throw new RangeError("division by zero");
    if (this.units === 0n) return new Decimal(0n, 0);
    const negative = this.units < 0n !== other.units < 0n;
    const dividend = abs(this.units);
    const divisor = abs(other.units);
    let shift = precision - (width(dividend) - width(divisor));
    if (shifted(dividend, shift) / shifted(divisor, -shift) >= power(precision)) shift -= 1;
    const units = halfEven(shifted(dividend, shift), shifted(divisor, -shift));
    return new Decimal(negative ? -units : units, this.scale - other.scale + shift);
  }

  /**
   * The number with at most this many decimals, half to even.
   *
   * @param {number} decimals
   */
  rounded(decimals) {
    if (this.scale <= decimals) return this;
    const units = halfEven(abs(this.units), power(this.scale - decimals));
    return new Decimal(this.units < 0n ? -units : units, decimals);
  }

  /** Plain digits: no exponent, no zeros that say nothing, no "-0". */
  toString() {
    const digits = String(abs(this.units)).padStart(this.scale + 1, "0");
    const whole = digits.slice(0, digits.length - this.scale);
    const fraction = digits.slice(digits.length - this.scale).replace(/0+$/, "");
    return (this.units < 0n ? "-" : "") + whole + (fraction && `.${fraction}`);
  }

  /** @param {number} scale */
  #unitsAt(scale) {
    return shifted(this.units, scale - this.scale);
  }
}

export const ZERO = Decimal.of("0");
export const HUNDRED = Decimal.of("100");

/** @param {bigint} units */
const abs = (units) => (units < 0n ? -units : units);
/** @param {bigint} units */
const width = (units) => String(units).length;
/**
 * @param {bigint} units
 * @param {number} places
 */
const shifted = (units, places) => (places > 0 ? units * power(places) : units);

/**
 * 10 to the `exponent`, of which the same few are asked for over and over.
 *
 * @param {number} exponent
 */
function power(exponent) {
  return (POWERS[exponent] ??= 10n ** BigInt(exponent));
}

/**
 * The quotient of two numbers that are not negative, to a whole number.
 *
 * @param {bigint} dividend
 * @param {bigint} divisor
 */
function halfEven(dividend, divisor) {
  const quotient = dividend / divisor;
  const twice = 2n * (dividend % divisor);
  const up = twice > divisor || (twice === divisor && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}
