/**
 * The shapes of a chart as paths' `d`, in pixels. Pure.
 */

/**
 * A point in pixels: `close` is where the line goes, the others are of a candle or bar; `half` is half its width.
 *
 * @typedef {{x: number, close: number, open: number, high: number, low: number, half: number}} Shape
 */

/** @param {number} number */
const px = (number) => String(Math.round(number * 10) / 10);

/**
 * The line through each run; a run of one point is a dot.
 *
 * @param {{x: number, close: number}[][]} runs
 */
export function linePath(runs) {
  return runs
    .map((run) => {
      const places = run.map(({ x, close }) => `${px(x)} ${px(close)}`);
      return places.length === 1 ? `M${places[0]}h0` : `M${places.join("L")}`;
    })
    .join("");
}

/**
 * What is between the line and the level `base`; nothing of runs of one point.
 *
 * @param {{x: number, close: number}[][]} runs
 * @param {number} base
 */
export function areaPath(runs, base) {
  return runs
    .filter((run) => run.length > 1)
    .map((run) => `${linePath([run])}L${px(run[run.length - 1].x)} ${px(base)}L${px(run[0].x)} ${px(base)}Z`)
    .join("");
}

/**
 * Wicks and bodies; a body is at least a pixel high.
 *
 * @param {Shape[]} shapes
 */
export function candlePath(shapes) {
  return shapes
    .map(({ x, open, close, high, low, half }) => {
      const [top, bottom] = [Math.min(open, close), Math.max(open, close, Math.min(open, close) + 1)];
      const wick = `M${px(x)} ${px(high)}V${px(low)}`;
      return `${wick}M${px(x - half)} ${px(top)}H${px(x + half)}V${px(bottom)}H${px(x - half)}Z`;
    })
    .join("");
}

/**
 * Bars from the level `base`, at least a pixel high.
 *
 * @param {Shape[]} shapes
 * @param {number} base
 */
export function barPath(shapes, base) {
  return shapes
    .map(({ x, close, half }) => {
      const end = Math.abs(close - base) < 1 ? base + (close > base ? 1 : -1) : close;
      return `M${px(x - half)} ${px(base)}V${px(end)}H${px(x + half)}V${px(base)}Z`;
    })
    .join("");
}

/**
 * A line that keeps its level until the next point: a stop loss, an average price.
 *
 * @param {{x: number, close: number}[]} points
 * @param {number} end where the last level ends
 */
export function stepPath(points, end) {
  if (points.length === 0) return "";
  const [first, ...rest] = points;
  const steps = rest.map(({ x, close }) => `H${px(x)}V${px(close)}`).join("");
  return `M${px(first.x)} ${px(first.close)}${steps}H${px(end)}`;
}

/**
 * Triangles: up below a purchase, down above a sale; a diamond for anything else.
 *
 * @param {{x: number, y: number, kind: string}[]} marks
 */
export function markPath(marks) {
  return marks
    .map(({ x, y, kind }) => {
      if (kind === "buy") return `M${px(x)} ${px(y + 2)}l5 9h-10Z`;
      if (kind === "sell") return `M${px(x)} ${px(y - 2)}l5 -9h-10Z`;
      return `M${px(x)} ${px(y - 5)}l5 5l-5 5l-5 -5Z`;
    })
    .join("");
}

/**
 * Levels moved apart, so that what is written beside them can be read.
 *
 * @param {number[]} levels
 * @param {number} least pixels between two
 * @param {number} bottom
 */
export function apart(levels, least, bottom) {
  const order = levels.map((_, index) => index).sort((a, b) => levels[a] - levels[b]);
  const moved = [...levels];
  let limit = -Infinity;
  for (const index of order) limit = moved[index] = Math.max(moved[index], limit + least);
  limit = bottom + least;
  for (const index of order.reverse()) limit = moved[index] = Math.min(moved[index], limit - least);
  return moved;
}
