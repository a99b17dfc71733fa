/**
 * The axes of a chart: which figures and times are marked, and how they are written. Pure. Doubles: for eyes, never for
 * sums.
 */

import { countZeros, grouped } from "./format.js";

const LOCALE = "en-US"; // the language of the page
const STEPS = [1, 2, 2.5, 5, 10];
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
// Of a day's length at most: counted from midnight, by the reader's clock.
const TIME_STEPS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE_MS),
  ...[1, 2, 3, 6, 12, 24].map((hours) => hours * HOUR_MS),
];
const DAY_STEPS = [1, 2, 7, 14, 31, 92, 183, 366];
const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short" });

/**
 * Round figures between two others, `most` at most, and the step from one to the next.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} most
 */
export function roundFigures(low, high, most) {
  const least = (high - low) / Math.max(1, most);
  if (!(least > 0)) return { step: 0, figures: [low] };
  const decade = 10 ** Math.floor(Math.log10(least));
  const step = decade * (STEPS.find((each) => each * decade >= least * (1 - 1e-9)) ?? 10);
  const figures = [];
  for (let count = Math.ceil(low / step - 1e-9); count * step <= high + step * 1e-9; count += 1) {
    figures.push(Number((count * step).toPrecision(12)) + 0); // -0 is 0
  }
  return { step, figures };
}

/**
 * A figure beside its mark: as many decimals as the step has, long runs of zeros as their number.
 *
 * @param {number} figure
 * @param {number} step
 */
export function axisText(figure, step) {
  if (Math.abs(figure) >= 1e6) return grouped(figure, 0, true);
  const unit = step || Math.abs(figure) / 1000 || 1;
  const decimals = Math.max(0, -Math.floor(Math.log10(unit) + 1e-9));
  // 2.5 has one decimal more than its decade.
  const exact = Math.abs(unit * 10 ** decimals - Math.round(unit * 10 ** decimals)) < 1e-6 ? decimals : decimals + 1;
  const text = exact > 4 ? figure.toFixed(Math.min(exact, 40)) : grouped(figure, exact);
  return countZeros(text).replace("-", "−");
}

/**
 * Times to mark between two others (milliseconds of the epoch), at full minutes, hours or days of the reader's clock.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} most
 * @returns {{at: number, text: string}[]}
 */
export function roundTimes(from, to, most) {
  const least = (to - from) / Math.max(1, most);
  if (!(least > 0)) return [];
  const step = TIME_STEPS_MS.find((each) => each >= least);
  const marks = [];
  for (const day of days(from, to, step ? 1 : (DAY_STEPS.find((each) => each * DAY_MS >= least) ?? 366))) {
    const next = new Date(day);
    next.setDate(next.getDate() + 1);
    // From midnight to midnight: a day in which clocks change has 23 or 25 hours.
    for (let at = day.getTime(); at < next.getTime(); at += step ?? DAY_MS * 2) {
      if (at >= from && at <= to) marks.push({ at, text: (at === day.getTime() ? DAY : CLOCK).format(at) });
    }
  }
  return marks;
}

/**
 * Every `step`-th midnight, the one before `from` included; of long steps the first days of months.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} step days
 */
function* days(from, to, step) {
  const first = new Date(from);
  const months = Math.round(step / 30.5);
  const month = first.getMonth() - (months ? first.getMonth() % months : 0);
  for (let count = 0; ; count += 1) {
    const day = months
      ? new Date(first.getFullYear(), month + count * months)
      : new Date(first.getFullYear(), first.getMonth(), first.getDate() + count * step);
    if (day.getTime() > to) return;
    yield day;
  }
}

/**
 * Where a figure of one range is in another.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} start
 * @param {number} end
 * @returns {(figure: number) => number}
 */
export function scaled(low, high, start, end) {
  if (!(high > low)) return () => (start + end) / 2;
  return (figure) => start + ((figure - low) / (high - low)) * (end - start);
}
