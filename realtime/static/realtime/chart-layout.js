/**
 * A chart in pixels: what is drawn where, of figures as doubles. Pure.
 */

import { apart, areaPath, barPath, candlePath, linePath, markPath, stepPath } from "./chart-paths.js";
import { runs } from "./chart-points.js";
import { roundFigures, roundTimes, scaled } from "./chart-scale.js";

/**
 * @typedef {object} Dot a point
 * @property {number} at where the line has it, milliseconds of the epoch
 * @property {number} close
 * @property {number} [open]
 * @property {number} [high]
 * @property {number} [low]
 * @property {number} [length] milliseconds that a candle or bar covers; it ends at `at`
 * @property {boolean} [gap] whether nothing is known of the time before it
 *
 * @typedef {object} Level a figure that stays until the next dot
 * @property {string} kind
 * @property {string} name what it is, written into the chart
 * @property {{at: number, close: number}[]} dots
 * @property {string} text its last figure, for the axis
 *
 * @typedef {{kind: "buy" | "sell" | "other", at: number, figure: number}} Mark
 * @typedef {{x: number, y: number, text: string, name: string}} Label
 *
 * @typedef {object} Drawing
 * @property {"line" | "candles" | "bars"} kind
 * @property {number} from milliseconds of the epoch
 * @property {number} to
 * @property {Dot[]} dots oldest first
 * @property {Level[]} [levels]
 * @property {Mark[]} [marks]
 * @property {number | null} [base] what area and bars begin at; null: no area
 * @property {string} [direction] "up", "down" or ""
 * @property {(figure: number, step: number) => string} axis
 * @property {((at: number) => string) | null} [timeText] of each dot, instead of full hours and days
 *
 * @typedef {object} Layout
 * @property {Record<string, string>} paths by name
 * @property {{kind: string, d: string}[]} levels
 * @property {Label[]} labels
 * @property {{x: number, y: number}[]} places of the dots
 * @property {number} bottom where the plot ends
 */

export const PARTS = ["grid", "area", "up", "down", "line", "mark-buy", "mark-sell", "mark-other"];
const TOP = 14;
const BOTTOM = 22;
const TEXT_PX = 13;
const FIGURE_EVERY_PX = 40;
const TIME_EVERY_PX = 86;
// A level further away than this many heights of the line, or this part of it, is not drawn, but named at the edge.
const FAR = 1.5;
const FAR_PART = 0.4;
// The figures beside the plot take this part of the chart at most.
const MOST_FIGURES = 0.42;

/**
 * Lay out the chart in a box of this size.
 *
 * @param {Drawing} drawing
 * @param {number} width pixels
 * @param {number} height
 * @param {(text: string, bold?: boolean) => number} widthOf text, in pixels
 * @returns {Layout}
 */
export function layout(drawing, width, height, widthOf) {
  const { kind, dots, from, to, levels = [], marks = [], base = null } = drawing;
  const [low, high] = rangeOf(drawing);
  const bottom = height - BOTTOM;
  const { figures, step } = roundFigures(low, high, Math.max(3, Math.floor(height / FIGURE_EVERY_PX)));
  const texts = figures.map((figure) => drawing.axis(figure, step));
  const tags = levels.map(({ text }) => widthOf(`↓ ${text}`, true));
  const longest = Math.max(24, ...texts.map((text) => widthOf(text)), ...tags);
  const right = Math.ceil(width - Math.min(MOST_FIGURES * width, longest + 10));
  const x = scaled(from, to, 1, right - 1);
  const y = scaled(low, high, bottom, TOP);
  const times = drawing.timeText
    ? dots.map(({ at, length = 0 }) => ({ at: at - length / 2, text: drawing.timeText?.(at) ?? "" }))
    : roundTimes(from, to, Math.floor(right / TIME_EVERY_PX));
  const shapes = dots.map((dot) => shapeOf(dot, kind, x, y));
  const edges = levels.map(({ dots: steps }) => y(steps.at(-1)?.close ?? NaN));
  const heights = apart(edges.map((edge) => within(edge, TOP, bottom)), TEXT_PX, bottom);
  const grid = figures.map((figure) => `M0 ${y(figure).toFixed(1)}H${right}`);
  if (!drawing.timeText) grid.push(...times.map(({ at }) => `M${x(at).toFixed(1)} 0V${bottom}`));
  const drawn = levels.map((_, index) => edges[index] >= 0 && edges[index] <= bottom);
  const named = levels.flatMap((level, index) => (drawn[index] && level.name ? [{ level, y: edges[index] - 4 }] : []));
  const nameHeights = apart(named.map((each) => Math.max(TEXT_PX - 3, each.y)), TEXT_PX, bottom);
  return {
    bottom,
    places: shapes.map((shape) => ({ x: shape.x, y: shape.close })),
    paths: {
      grid: grid.join(""),
      ...paths(kind, shapes, base === null ? null : y(base)),
      ...markPaths(marks, x, (figure) => within(y(figure), TOP, bottom)),
    },
    levels: levels.map((level, index) => ({
      kind: level.kind,
      d: drawn[index] ? levelPath(level, x, (figure) => within(y(figure), 0, bottom), right) : "",
    })),
    labels: [
      ...figures
        .map((figure, index) => ({ x: right + 6, y: y(figure) + 4, text: texts[index], name: "axis" }))
        .filter((label) => !heights.some((each) => Math.abs(each + 4 - label.y) < TEXT_PX)),
      ...spread(times, x, width, widthOf).map(({ at, text }) => ({ x: x(at), y: height - 5, text, name: "time" })),
      ...levels.map(({ kind: name, text }, index) => ({
        x: right + 6,
        y: heights[index] + 4,
        text: drawn[index] ? text : `${edges[index] < 0 ? "↑" : "↓"} ${text}`,
        name: `tag ${name}`,
      })),
      ...named.map(({ level: { name, kind: kindOf, dots: steps } }, index) => ({
        x: within(x(steps[0].at), 4, Math.max(4, right - widthOf(name, true) - 4)),
        y: nameHeights[index],
        text: name,
        name: `name ${kindOf}`,
      })),
    ],
  };
}

/**
 * @param {Dot} dot
 * @param {Drawing["kind"]} kind
 * @param {(at: number) => number} x
 * @param {(figure: number) => number} y
 */
function shapeOf({ at, close, open = close, high = close, low = close, length = 0, gap = false }, kind, x, y) {
  return {
    gap,
    x: kind === "line" ? x(at) : x(at - length / 2),
    close: y(close),
    open: y(open),
    high: y(high),
    low: y(low),
    half: Math.max(0.5, Math.min(14, (x(at) - x(at - length)) * 0.36)),
    rises: close >= open,
  };
}

/**
 * @param {Drawing["kind"]} kind
 * @param {ReturnType<typeof shapeOf>[]} shapes
 * @param {number | null} base
 */
function paths(kind, shapes, base) {
  if (kind === "line") {
    const lines = runs(shapes);
    return { line: linePath(lines), area: base === null ? "" : areaPath(lines, base), up: "", down: "" };
  }
  const level = base ?? 0;
  /** @param {ReturnType<typeof shapeOf>} shape */
  const isUp = ({ close, rises }) => (kind === "bars" ? close <= level : rises);
  /** @param {ReturnType<typeof shapeOf>[]} some */
  const path = (some) => (kind === "bars" ? barPath(some, level) : candlePath(some));
  const down = path(shapes.filter((shape) => !isUp(shape)));
  return { line: "", area: "", up: path(shapes.filter((shape) => isUp(shape))), down };
}

/**
 * @param {Mark[]} marks
 * @param {(at: number) => number} x
 * @param {(figure: number) => number} y
 */
function markPaths(marks, x, y) {
  /** @param {Mark["kind"]} wanted */
  const path = (wanted) => {
    const some = marks.filter(({ kind }) => kind === wanted);
    return markPath(some.map(({ kind, at, figure }) => ({ kind, x: x(at), y: y(figure) })));
  };
  return { "mark-buy": path("buy"), "mark-sell": path("sell"), "mark-other": path("other") };
}

/**
 * @param {Level} level
 * @param {(at: number) => number} x
 * @param {(figure: number) => number} y
 * @param {number} right
 */
function levelPath({ dots }, x, y, right) {
  const first = Math.max(0, dots.findLastIndex(({ at }) => x(at) <= 0)); // the one that holds where the chart begins
  return stepPath(dots.slice(first).map(({ at, close }) => ({ x: Math.max(0, x(at)), close: y(close) })), right);
}

/**
 * The lowest and the highest figure to be drawn, with some room.
 *
 * @param {Drawing} drawing
 */
function rangeOf({ dots, base = null, marks = [], levels = [] }) {
  let low = Math.min(...dots.map(({ close, low: lowest = close }) => lowest), base ?? Infinity);
  let high = Math.max(...dots.map(({ close, high: highest = close }) => highest), base ?? -Infinity);
  if (low > high) [low, high] = [0, 1];
  const reach = Math.max((high - low) * FAR, Math.abs(high) * FAR_PART);
  const [lowest, highest] = [low - reach, high + reach];
  const ends = levels.map((level) => level.dots.at(-1)?.close ?? NaN);
  for (const figure of [...ends, ...marks.map((mark) => mark.figure)]) {
    if (figure >= lowest && figure <= highest) [low, high] = [Math.min(low, figure), Math.max(high, figure)];
  }
  const room = (high - low) * 0.08 || Math.abs(high) * 0.02 || 1;
  return [base === low ? low : low - room, base === high ? high : high + room];
}

/**
 * Times that do not overlap and are within the chart.
 *
 * @param {{at: number, text: string}[]} times
 * @param {(at: number) => number} x
 * @param {number} width
 * @param {(text: string) => number} widthOf
 */
function spread(times, x, width, widthOf) {
  let end = -8;
  return times.filter(({ at, text }) => {
    const half = widthOf(text) / 2;
    if (x(at) - half < end + 8 || x(at) + half > width) return false;
    end = x(at) + half;
    return true;
  });
}

/**
 * @param {number} figure
 * @param {number} least
 * @param {number} most
 */
const within = (figure, least, most) => Math.max(least, Math.min(most, figure));
