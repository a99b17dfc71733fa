/**
 * How a figure went while the page was open, and a line of it. Doubles: for eyes, never for sums.
 */

const MOST_POINTS = 120;
const EVERY_MS = 1_000;

/** Points of one figure. It stays small: when it is full, every other point goes, and the next come half as often. */
export class Series {
  #points = []; // [milliseconds, value]
  #every = EVERY_MS;

  /** Take the figure in; returns whether the line is another one now. */
  add(at, value) {
    const last = this.#points.at(-1);
    if (last && at - last[0] < this.#every) return false;
    this.#points.push([at, value]);
    if (this.#points.length > MOST_POINTS) {
      this.#points = this.#points.filter((_, index) => index % 2 === 0);
      this.#every *= 2;
    }
    return true;
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

/** The line through the points, as a path's `d` in a box of this size; "" where there are fewer than two. */
export function line(points, width, height, margin = 1.5) {
  if (points.length < 2) return "";
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [from, to] = [points[0][0], points.at(-1)[0]];
  const x = (at) => ((at - from) / (to - from || 1)) * width;
  const y = (value) => (high === low ? height / 2 : height - margin - ((value - low) / (high - low)) * (height - 2 * margin));
  return "M" + points.map(([at, value]) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
}

/** The line, closed below: what is filled. */
export function area(path, width, height) {
  return path && `${path}L${width} ${height}L0 ${height}Z`;
}
