/**
 * How the agent's closed positions went: win rate, average return, the best, the worst, and the profit of each day.
 *
 * @import { ChosenAgent } from "./agent.js"
 */

import { axisText } from "./chart-scale.js";
import { Cells } from "./cells.js";
import { ChartFigure } from "./chart-figure.js";
import { isUsd } from "./currency.js";
import { byId } from "./dom.js";
import * as format from "./format.js";
import { inUsd } from "./money.js";
import { pathOf } from "./navigation.js";
import * as times from "./times.js";

const DAY_MS = 86_400_000;
const FEWEST_DAYS = 14;
const MOST_DAYS = 60;
const DAY = new Intl.DateTimeFormat("en-US", { day: "numeric", month: "short", timeZone: "UTC" });
const NONE = "No position has been closed yet.";

export class ResultsCard {
  #section = byId("results");
  #cells = new Cells(this.#section);
  #figure = new ChartFigure("days-chart", { onRetry: () => {}, onSeen: () => this.#draw() });
  /** @type {ChosenAgent | null} */
  #agent = null;
  /** @type {Wire.PerformanceOnRest | null} */
  #drawn = null;
  /** @type {Wire.PerformanceOnRest | null} */
  #shown = null;
  /** @type {Wire.Digits | null} */
  #solUsd = null;
  #usd = false;

  /** @param {ChosenAgent | null} agent */
  show(agent) {
    this.#agent = agent;
    this.#shown = this.#drawn = null;
    this.#figure.show(null);
    this.#figure.say("Loading…");
  }

  /**
   * Called for every frame: does nothing where nothing has changed.
   *
   * @param {Wire.Mode | null} mode
   * @param {Wire.Digits | null} solUsd
   */
  take(mode, solUsd) {
    this.#shown = this.#agent?.results.performance(mode) ?? null;
    this.#solUsd = solUsd;
    if (this.#shown !== null && (this.#shown !== this.#drawn || this.#usd !== isUsd())) this.#draw();
  }

  #draw() {
    const results = this.#shown;
    if (!results || !this.#figure.seen) return;
    [this.#drawn, this.#usd] = [results, isUsd()];
    const { closedPositions, winRatePercent, averageReturnPercent, averageHoldingSeconds } = results;
    const cells = this.#cells;
    cells.set("win-rate", format.percent(winRatePercent), winRatePercent === null ? "" : `${winRatePercent}%`);
    const wins = closedPositions === 1 ? "1 closed position" : `${closedPositions} closed positions`;
    cells.set("win-note", `of ${wins}`);
    const average = averageReturnPercent;
    cells.set("average-return", format.percent(average, format.signed), average === null ? "" : `${average}%`);
    cells.mark("average-return", averageReturnPercent);
    const held = averageHoldingSeconds;
    cells.set("average-held", held === null ? "" : `held for ${times.seconds(1000 * held)} on average`);
    this.#showRanked("best", results.best);
    this.#showRanked("worst", results.worst);
    this.#figure.say(closedPositions ? "" : NONE);
    this.#figure.show(closedPositions ? daysContent(results.days, this.#usd ? this.#solUsd : null) : null);
  }

  /**
   * @param {"best" | "worst"} name
   * @param {Wire.ClosedOnRest | null} position
   */
  #showRanked(name, position) {
    const cells = this.#cells;
    const link = cells.get(name);
    cells.set(name, position ? format.symbol(position.tokenSymbol) : format.UNKNOWN);
    if (position && this.#agent) cells.put(name, "href", pathOf(this.#agent.id, position.positionId));
    else link.removeAttribute("href");
    const profit = position?.profitSol ?? null;
    const usd = this.#usd && this.#solUsd !== null;
    const sol = `${format.sol(profit, format.signed)} SOL`;
    const text = usd ? format.usd(inUsd(profit, this.#solUsd), format.signed) : sol;
    cells.set(`${name}-profit`, profit === null ? "" : text, profit === null ? "" : `${profit} SOL`);
    cells.mark(`${name}-profit`, profit);
    const share = position?.returnPercent ?? null;
    cells.set(`${name}-return`, share === null ? "" : `(${format.percent(share, format.signed)})`);
  }
}

/**
 * The profit of each day (UTC) on which a position was closed, in the last `MOST_DAYS`.
 *
 * @param {Wire.DayOnRest[]} days oldest first, at least one
 * @param {Wire.Digits | null} solUsd USD for one SOL; null for figures in SOL
 * @returns {import("./chart-figure.js").Content}
 */
function daysContent(days, solUsd) {
  const last = Date.parse(days[days.length - 1].date) + DAY_MS;
  const shown = days.filter(({ date }) => Date.parse(date) >= last - MOST_DAYS * DAY_MS);
  const from = Math.min(Date.parse(shown[0].date), last - FEWEST_DAYS * DAY_MS);
  const usd = solUsd !== null;
  /** @param {Wire.DayOnRest} day */
  const profit = ({ profitSol }) => (usd ? inUsd(profitSol, solUsd) ?? "0" : profitSol);
  /** @param {Wire.Digits} digits */
  const write = (digits) => (usd ? format.usd(digits, format.signed) : `${format.sol(digits, format.signed)} SOL`);
  /** @param {Wire.DayOnRest} day */
  const count = ({ closedPositions }) => `${closedPositions} closed`;
  const whole = shown.length === days.length ? "" : `; the last ${MOST_DAYS} of them`;
  return {
    drawing: {
      kind: "bars",
      from,
      to: last,
      dots: shown.map((day) => ({ at: Date.parse(day.date) + DAY_MS, length: DAY_MS, close: Number(profit(day)) })),
      base: 0,
      axis: axisText,
      timeText: (at) => DAY.format(at - DAY_MS),
    },
    textOf: (index) => {
      const day = shown[index];
      return `${DAY.format(Date.parse(day.date))}: ${write(profit(day))}, ${count(day)}`;
    },
    columns: ["Day (UTC)", "Profit", "Closed"],
    rows: () =>
      shown
        .map((day) => ({
          key: day.date,
          cells: [
            { text: DAY.format(Date.parse(day.date)), title: day.date },
            { text: write(profit(day)), title: `${profit(day)} ${usd ? "USD" : "SOL"}` },
            { text: count(day) },
          ],
        }))
        .reverse(),
    caption: `Profit of the positions closed on each day (UTC), since each was opened${whole}`,
  };
}
