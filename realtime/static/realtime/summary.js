/**
 * The totals, and the line of the portfolio.
 *
 * @import { ChosenAgent } from "./agent.js"
 */

import { Cells } from "./cells.js";
import { Decimal } from "./decimal.js";
import { byId, find } from "./dom.js";
import * as format from "./format.js";
import { summarised } from "./price-status.js";
import { area, line } from "./series.js";

const IN_USD = "In USD at the current price of SOL";

export class Summary {
  #section = byId("totals");
  #cells = new Cells(this.#section);
  #chart = byId("portfolio", SVGElement);
  #line = find(this.#chart, ".line", SVGElement);
  #fill = find(this.#chart, ".fill", SVGElement);

  /**
   * Show the totals; returns them.
   *
   * @param {ChosenAgent} agent
   * @param {Wire.Digits | null} solUsd USD for one SOL
   */
  show(agent, solUsd) {
    const { store, results } = agent;
    this.#section.hidden = false;
    const cells = this.#cells;
    const sum = store.totals();
    cells.set("count", `${store.size} ${store.size === 1 ? "position" : "positions"}`);
    cells.pair("value", sum.positionValueSol, sum.positionValueUsd);
    this.#showStatus(store.statuses());
    this.#showExit(store.exitTotals(), solUsd);
    cells.gain("profit", sum.profitLossSol, sum.profitLossUsd);
    cells.set("return", format.percent(sum.profitLossPercent, format.signed), `${sum.profitLossPercent}%`);
    cells.mark("return", sum.profitLossPercent);
    cells.gain("unrealised", sum.unrealizedSol, sum.unrealizedUsd);
    this.#showRealised(sum.realizedSol, results, solUsd);
    this.#showToday(sum.profitLossSol, results?.today ?? null, solUsd);
    if (store.updatedAt) this.#draw(agent, Date.parse(store.updatedAt), Number(sum.positionValueSol));
    return sum;
  }

  hide() {
    this.#section.hidden = true;
  }

  /**
   * Say how many of the prices in the totals are not live.
   *
   * @param {Wire.PriceStatus[]} statuses
   */
  #showStatus(statuses) {
    const notLive = statuses.filter((status) => status !== "live").length;
    this.#cells.set("not-live", `${notLive} not live`, `${summarised(statuses)}: the last known prices count`);
    this.#cells.hide("not-live", notLive === 0);
    this.#section.toggleAttribute("data-none-live", notLive > 0 && notLive === statuses.length);
  }

  /**
   * Say what selling everything now would bring, where it is known and not the value.
   *
   * @param {ReturnType<typeof import("./accounting.js").exitTotals>} exit
   * @param {Wire.Digits | null} solUsd
   */
  #showExit(exit, solUsd) {
    const { exitValueSol = null, worthSol = null, unknown = 0 } = exit ?? {};
    this.#cells.hide("exit-line", exitValueSol === worthSol);
    if (exitValueSol === null) return;
    this.#cells.pair("exit", exitValueSol, inUsd(exitValueSol, solUsd));
    const left = unknown === 0 ? "" : `without ${unknown} unknown`;
    this.#cells.set("exit-note", left, left && `The others are worth ${worthSol} SOL at their prices`);
  }

  /**
   * @param {Wire.Digits} realisedSol of open positions
   * @param {Wire.ResultsOnRest | null} results
   * @param {Wire.Digits | null} solUsd
   */
  #showRealised(realisedSol, results, solUsd) {
    const all = results && String(Decimal.of(realisedSol).plus(Decimal.of(results.closedProfitSol)));
    this.#cells.gain("realised", all, inUsd(all, solUsd));
    this.#cells.set("realised-note", results ? `incl. ${results.closedPositions} closed` : "", IN_USD);
  }

  /**
   * @param {Wire.Digits} profitLossSol of open positions
   * @param {Wire.TodayOnRest | null} today
   * @param {Wire.Digits | null} solUsd
   */
  #showToday(profitLossSol, today, solUsd) {
    if (!today?.since || today.startProfitSol === null) {
      this.#cells.gain("today", null, null);
      this.#cells.set("today-note", "unknown");
      return;
    }
    const { since, startProfitSol, closedProfitSol } = today;
    const now = Decimal.of(profitLossSol).plus(Decimal.of(closedProfitSol));
    const change = String(now.minus(Decimal.of(startProfitSol)));
    this.#cells.gain("today", change, inUsd(change, solUsd));
    const title = `Since the first price of the day (UTC), ${format.moment(since)}. ${IN_USD}`;
    this.#cells.set("today-note", `since ${format.minute(since)}`, title);
  }

  /**
   * @param {ChosenAgent} agent
   * @param {number} at
   * @param {number} value
   */
  #draw({ portfolio }, at, value) {
    if (!portfolio.add(at, value)) return;
    const path = line(portfolio.points, 400, 84, 4);
    this.#line.setAttribute("d", path);
    this.#fill.setAttribute("d", area(path, 400, 84));
    const change = value - (portfolio.first ?? value);
    this.#chart.dataset.direction = format.direction(String(Math.sign(change)));
  }
}

/**
 * @param {Wire.Digits | null} sol
 * @param {Wire.Digits | null} solUsd
 */
function inUsd(sol, solUsd) {
  return sol === null || solUsd === null ? null : String(Decimal.of(sol).times(Decimal.of(solUsd)).rounded(6));
}
