/**
 * What the chart of an agent's value shows: the value of its positions and what was paid for them, or its profit since
 * the chart's first point. Money that goes in or out is no gain: gain = change of the value − change of the net flow
 * (docs/history.md). Pure.
 *
 * @import { Content } from "./chart-figure.js"
 */

import { axisText } from "./chart-scale.js";
import { lengthFor } from "./chart-points.js";
import { Decimal } from "./decimal.js";
import * as format from "./format.js";
import { inUsd } from "./money.js";
import * as times from "./times.js";

/**
 * One moment, as the server has recorded it, or as it is now.
 *
 * @typedef {Omit<Wire.ValueOnRest, "timestamp" | "realizedProfitSol"> & {at: number}} Moment
 * @typedef {object} Now the agent as it is now
 * @property {Wire.Digits} valueSol
 * @property {Wire.Digits | null} valueUsd
 * @property {Wire.Digits} unrealizedSol
 * @property {Wire.Digits} profitSol unrealised and realised, closed positions included
 * @property {Wire.Digits | null} solUsd USD for one SOL
 * @property {number} positions
 * @property {number} notLive
 */

const MOST_DOTS = 240;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

/**
 * A recorded point.
 *
 * @param {Wire.ValueOnRest} point
 * @returns {Moment}
 */
export const momentOf = ({ timestamp, ...point }) => ({ ...point, at: Date.parse(timestamp) });

/**
 * The agent as it is now, in the terms of its last recorded point. What transfers moved beyond their cost is in that.
 *
 * @param {Wire.ValueOnRest} last
 * @param {Now} now
 * @param {number} at
 * @returns {Moment}
 */
export function continued(last, { valueSol, valueUsd, unrealizedSol, profitSol, solUsd, positions, notLive }, at) {
  const [value, cost] = [Decimal.of(valueSol), Decimal.of(valueSol).minus(Decimal.of(unrealizedSol))];
  const atCost = Decimal.of(last.investedSol).minus(Decimal.of(last.realizedProfitSol));
  const transfers = Decimal.of(last.netFlowSol).minus(atCost);
  return {
    at,
    valueSol,
    valueUsd,
    solPriceUsd: solUsd,
    investedSol: String(cost.rounded(9)),
    netFlowSol: String(value.minus(Decimal.of(profitSol)).plus(transfers).rounded(9)),
    positions,
    positionsNotLive: notLive,
  };
}

/**
 * What was gained from one moment to another, in SOL.
 *
 * @param {Moment} first
 * @param {Moment} last
 */
export const gainBetween = (first, last) => String(profitOf(last).minus(profitOf(first)));

/** @param {Moment} moment */
const profitOf = ({ valueSol, netFlowSol }) => Decimal.of(valueSol).minus(Decimal.of(netFlowSol));

/**
 * Everything of the chart.
 *
 * @param {object} source
 * @param {"value" | "profit"} source.kind
 * @param {Moment[]} source.moments oldest first, at least one
 * @param {number} source.interval milliseconds between two that are recorded
 * @param {number} source.from
 * @param {number} source.to
 * @param {Wire.Digits | null} source.solUsd USD for one SOL now; null for figures in SOL
 * @returns {Content}
 */
export function valueContent({ kind, moments, interval, from, to, solUsd }) {
  const usd = solUsd !== null;
  const shown = thinned(moments, lengthFor(to - from, interval, MOST_DOTS), interval).filter(
    ({ moment }) => !usd || kind === "profit" || moment.valueUsd !== null,
  );
  const [first] = moments;
  /** @param {Moment} moment */
  const gain = (moment) => (usd ? inUsd(gainBetween(first, moment), solUsd) : gainBetween(first, moment)) ?? "0";
  /** @param {Moment} moment */
  const value = (moment) => (usd ? moment.valueUsd ?? "0" : moment.valueSol);
  const figure = kind === "value" ? value : gain;
  /** @param {Moment} moment */
  const paid = ({ investedSol, solPriceUsd }) => (usd ? inUsd(investedSol, solPriceUsd) : investedSol);
  const dots = shown.map(({ moment, gap }) => ({ at: moment.at, close: Number(figure(moment)), gap }));
  const last = shown[shown.length - 1]?.moment ?? first;
  const unit = usd ? "USD" : "SOL";
  /**
   * @param {Wire.Digits | null} digits
   * @param {format.Options} [options]
   */
  const write = (digits, options) => (usd ? format.usd(digits, options) : format.sol(digits, options));
  /** @type {import("./chart-layout.js").Level[]} */
  const levels = [{ kind: "last", name: "", dots: dots.slice(-1), text: write(figure(last)) }];
  if (kind === "value" && paid(last) !== null) {
    const steps = shown.flatMap(({ moment }) => {
      const cost = paid(moment);
      return cost === null ? [] : [{ at: moment.at, close: Number(cost) }];
    });
    levels.push({ kind: "average", name: "paid for it", dots: steps, text: write(paid(last)) });
  }
  return {
    drawing: {
      kind: "line",
      from: Math.min(from, dots[0]?.at ?? from),
      to,
      dots,
      base: kind === "profit" ? 0 : null,
      direction: kind === "profit" ? format.direction(gain(last)) : "",
      levels,
      axis: axisText,
    },
    textOf: (index) => {
      const { moment } = shown[index];
      const time = times.moment(new Date(moment.at).toISOString());
      const [worth, cost, earned] = [write(value(moment)), write(paid(moment)), write(gain(moment), format.signed)];
      return `${time}: value ${worth}, paid ${cost}, gain ${earned}${usd ? "" : " SOL"}; ${heldText(moment)}`;
    },
    columns: ["Time", "Value", "Paid for it", "Gain", "Positions"],
    rows: () =>
      shown
        .map(({ moment }) => ({
          key: String(moment.at),
          cells: [
            { text: times.moment(new Date(moment.at).toISOString()) },
            { text: write(value(moment)), title: `${value(moment)} ${unit}` },
            { text: write(paid(moment)), title: paid(moment) === null ? "" : `${paid(moment)} ${unit}` },
            { text: write(gain(moment), format.signed), title: `${gain(moment)} ${unit}` },
            { text: heldText(moment) },
          ],
        }))
        .reverse(),
    caption: shown.some(({ gap }) => gap) ? "Where nothing is drawn, nothing was recorded: no feed ran." : "",
  };
}

/**
 * The last moment of each stretch of this length, and whether there is a gap before it: a stretch without any, unless
 * nothing was held at the one before.
 *
 * @param {Moment[]} moments
 * @param {number} length
 * @param {number} interval
 */
function thinned(moments, length, interval) {
  /** @type {{moment: Moment, gap: boolean}[]} */
  const found = [];
  // Points of minutes come some seconds early or late: one may be without.
  const missed = length > MINUTE_MS || interval === HOUR_MS ? 1 : 2;
  let stretch = -Infinity;
  for (const moment of moments) {
    const at = Math.floor(moment.at / length);
    const last = found[found.length - 1];
    const gap = found.length > 0 && at - stretch > missed && last.moment.positions > 0;
    if (at === stretch) found[found.length - 1] = { moment, gap: last.gap };
    else {
      // Nothing was held until now: that is no gap, and no slope.
      if (last && at - stretch > missed && !gap) found.push({ moment: { ...last.moment, at: moment.at }, gap: false });
      found.push({ moment, gap });
    }
    stretch = at;
  }
  return found;
}

/** @param {Moment} moment */
function heldText({ positions, positionsNotLive }) {
  const held = `${positions} ${positions === 1 ? "position" : "positions"}`;
  return positionsNotLive ? `${held}, ${positionsNotLive} not live` : held;
}
