/**
 * The totals of one kind of money, and the line of its profit.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Earned } from "./results.js"
 */

import { percent } from "./accounting.js";
import { Cells } from "./cells.js";
import { Decimal } from "./decimal.js";
import { byId, find } from "./dom.js";
import * as format from "./format.js";
import { modeText } from "./modes.js";
import { inUsd } from "./money.js";
import { summarised } from "./price-status.js";
import { area, line, Series } from "./series.js";
import * as times from "./times.js";

/**
 * @typedef {object} Totals what is shown
 * @property {Wire.Mode | null} mode
 * @property {boolean} isMixed whether the agent has money of the other mode, too
 * @property {ReturnType<import("./store.js").Store["totals"]>} open
 * @property {Earned} earned
 * @property {Wire.Digits | null} solUsd USD for one SOL
 * @property {Wire.PriceStatus[]} statuses of the prices
 */

const IN_USD = "In USD at the current price of SOL";

export class Summary {
  #section = byId("totals");
  #cells = new Cells(this.#section);
  #choice = byId("mode");
  #inputs = this.#choice.querySelectorAll("input");
  #chart = byId("portfolio", SVGElement);
  #line = find(this.#chart, ".line", SVGElement);
  #fill = find(this.#chart, ".fill", SVGElement);
  /** @type {Series | null} */
  #drawn = null;
  /** @type {string} the kind of money that the user has chosen, where the agent has both */
  #chosen = "live";

  #onTotals;

  /**
   * @param {object} options
   * @param {() => void} options.onChoice is called when another kind of money is chosen.
   * @param {(totals: Totals) => void} options.onTotals is called with what is shown.
   */
  constructor({ onChoice, onTotals }) {
    this.#onTotals = onTotals;
    this.#choice.addEventListener("change", ({ target }) => {
      if (target instanceof HTMLInputElement) this.#chosen = target.value;
      onChoice();
    });
  }

  /**
   * Show the totals; returns the return of the open positions in percent, null without any.
   *
   * @param {ChosenAgent} agent
   * @param {Wire.Digits | null} solUsd USD for one SOL
   * @param {number} now milliseconds of the epoch
   */
  show(agent, solUsd, now) {
    const { store } = agent;
    this.#section.hidden = false;
    const { modes } = agent;
    if (modes.length === 0) return null; // for a moment: of some wallets it is not known what is in them
    const mode = modes.find((each) => each === this.#chosen) ?? modes[0];
    this.#showModes(agent, modes, mode);
    const cells = this.#cells;
    /** @param {string} address */
    const counts = (address) => modes.length < 2 || agent.modeOf(address) === mode;
    const open = store.totals(counts);
    const earned = agent.results.earned(store, mode, open, now, solUsd);
    cells.set("count", `${open.count} ${open.count === 1 ? "position" : "positions"}`);
    cells.pair("value", open.positionValueSol, open.positionValueUsd);
    const statuses = store.statuses(counts);
    this.#showStatus(statuses);
    this.#showExit(store.exitTotals(counts), solUsd);
    cells.gain("unrealised", open.unrealizedSol, open.unrealizedUsd);
    cells.set("unrealised-note", openReturn(open), "Unrealised and realised, as a share of what was invested");
    cells.gain("realised", earned.realised, inUsd(earned.realised, solUsd));
    const closed = earned.closed === null ? "" : `incl. ${earned.closed} closed`;
    cells.set("realised-note", closed, IN_USD);
    this.#showTotal(earned);
    this.#showToday(earned, solUsd);
    this.#onTotals({ mode, isMixed: modes.length > 1, open, earned, solUsd, statuses });
    if (store.updatedAt) this.#draw(agent, mode, Date.parse(store.updatedAt), earned.total);
    return open.count ? open.profitLossPercent : null;
  }

  hide() {
    this.#section.hidden = true;
  }

  /**
   * Name the kind of money; offer the choice where there are two.
   *
   * @param {ChosenAgent} agent
   * @param {(Wire.Mode | null)[]} modes
   * @param {Wire.Mode | null} shown
   */
  #showModes(agent, modes, shown) {
    this.#choice.hidden = modes.length < 2;
    for (const input of this.#inputs) if (input.checked !== (input.value === shown)) input.checked = !input.checked;
    const mode = shown ?? agent.tradingMode;
    this.#cells.set("mode", modeText(mode));
    this.#cells.put("mode", "data-kind", mode === "simulation" ? "simulated" : "");
    this.#cells.hide("mode", modes.length > 1);
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
   * @param {ReturnType<typeof import("./sums.js").exitTotals>} exit
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

  /** @param {Earned} earned */
  #showTotal({ total, totalUsd, invested }) {
    const cells = this.#cells;
    cells.gain("profit", total, totalUsd);
    const share = total === null || invested === null ? null : percent(Decimal.of(total), Decimal.of(invested));
    const title = share === null ? "" : `${share}% of all that was invested`;
    cells.set("return", format.percent(share, format.signed), title);
    cells.mark("return", share);
  }

  /**
   * @param {Earned} earned
   * @param {Wire.Digits | null} solUsd
   */
  #showToday({ today, since }, solUsd) {
    this.#cells.gain("today", today, inUsd(today, solUsd));
    const title = since ? `Since the first price of the day (UTC), ${times.moment(since)}. ${IN_USD}` : "";
    const note = since ? `since ${times.minute(since)}` : "since midnight UTC";
    this.#cells.set("today-note", today === null ? "unknown" : note, title);
  }

  /**
   * Draw how the profit went: a purchase is no gain in it, and a sale no loss.
   *
   * @param {ChosenAgent} agent
   * @param {Wire.Mode | null} mode
   * @param {number} at
   * @param {Wire.Digits | null} total
   */
  #draw({ profits }, mode, at, total) {
    const series = profits.get(mode) ?? new Series();
    profits.set(mode, series);
    const isNew = total !== null && series.add(at, Number(total));
    if (!isNew && this.#drawn === series) return;
    this.#drawn = series;
    const path = line(series.points, 400, 84, 4);
    this.#line.setAttribute("d", path);
    this.#fill.setAttribute("d", area(path, 400, 84));
    this.#chart.dataset.direction = format.direction(String(Math.sign((series.last ?? 0) - (series.first ?? 0))));
  }
}

/** @param {ReturnType<import("./store.js").Store["totals"]>} open */
function openReturn({ count, profitLossPercent }) {
  return count ? `return ${format.percent(profitLossPercent, format.signed)}` : "nothing is open";
}
