/**
 * How a figure went while the page was open, and a line of it. Doubles: for eyes, never for sums.
 */

const MOST_POINTS = 120;
const EVERY_MS = 1_000;

/** Points of one figure. It stays small: when it is full, every other point goes, and the next come half as often. */
export class Series {
  /** @type {[at: number, value: number][]} milliseconds of the epoch, and the figure */
  #points = [];
  #every = EVERY_MS;

  /**
   * Add the figure as it was at that time; returns whether the line has changed.
   *
   * @param {number} at
   * @param {number} value
   */
  add(at, value) {
    if (!this.isDue(at)) return false;
    this.#points.push([at, value]);
    if (this.#points.length > MOST_POINTS) {
      this.#points = this.#points.filter((_, index) => index % 2 === 0);
      this.#every *= 2;
    }
    return true;
  }

  /**
   * Whether the figure as it was at that time would change the line.
   *
   * @param {number} at
   */
  isDue(at) {
    const last = this.#points.at(-1);
    return last === undefined || at - last[0] >= this.#every;
  }

  get points() {
    return this.#points;
  }

  /** The figure at first; undefined without any. */
  get first() {
    return this.#points[0]?.[1];
  }

  get last() {
    return this.#points.at(-1)?.[1];
  }
}

/**
 * The line through the points, as a path's `d` in a box of this size; "" where there are fewer than two.
 *
 * @param {[at: number, value: number][]} points
 * @param {number} width
 * @param {number} height
 */
export function line(points, width, height, margin = 1.5) {
  if (points.length < 2) return "";
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [from, to] = [points[0][0], points[points.length - 1][0]];
  const places = points.map(([at, value]) => {
    const x = ((at - from) / (to - from || 1)) * width;
    return `${x.toFixed(1)} ${place(value, low, high, height, margin).toFixed(1)}`;
  });
  return `M${places.join("L")}`;
}

/**
 * How far down in the box the value is drawn: in the middle where all are the same.
 *
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @param {number} height
 * @param {number} margin
 */
export function place(value, low, high, height, margin) {
  if (!(high > low)) return height / 2;
  return height - margin - ((value - low) / (high - low)) * (height - 2 * margin);
}

/**
 * The line, closed below: what is filled.
 *
 * @param {string} path
 * @param {number} width
 * @param {number} height
 */
export function area(path, width, height) {
  return path && `${path}L${width} ${height}L0 ${height}Z`;
}
