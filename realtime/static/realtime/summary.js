/**
 * The totals, and the line of the portfolio.
 */

import { Cells } from "./cells.js";
import { Decimal } from "./decimal.js";
import * as format from "./format.js";
import { area, line } from "./series.js";

const byId = (id) => document.getElementById(id);

export class Summary {
  #cells = new Cells(byId("totals"));
  #line = byId("portfolio").querySelector(".line");
  #fill = byId("portfolio").querySelector(".fill");
  #results = null;
  #solUsd = null;

  /** What the agent earned with closed positions and until today, of `/api/agents/<id>/results/`; null while unknown. */
  setResults(results) {
    this.#results = results;
  }

  /** USD for one SOL, as digits; null where unknown. */
  setRate(solUsd) {
    this.#solUsd = solUsd;
  }

  show(store) {
    byId("totals").hidden = false;
    const cells = this.#cells;
    const sum = store.totals();
    cells.set("count", `${store.size} ${store.size === 1 ? "position" : "positions"}`);
    cells.pair("value", sum.positionValueSol, sum.positionValueUsd);
    cells.pair("profit", sum.profitLossSol, sum.profitLossUsd, format.signed);
    cells.set("return", format.percent(sum.profitLossPercent, format.signed), `${sum.profitLossPercent}%`);
    cells.mark("return", sum.profitLossPercent);
    cells.pair("unrealised", sum.unrealizedSol, sum.unrealizedUsd, format.signed);
    this.#showRealised(sum);
    this.#showToday(sum);
    if (store.updatedAt) this.#draw(store, Number(sum.positionValueSol));
    return sum;
  }

  hide() {
    byId("totals").hidden = true;
    this.#results = null;
  }

  #showRealised({ realizedSol }) {
    const closed = this.#results?.closedProfitSol ?? null;
    const all = closed === null ? null : String(Decimal.of(realizedSol).plus(Decimal.of(closed)));
    this.#cells.pair("realised", all, this.#inUsd(all), format.signed);
    const count = this.#results?.closedPositions;
    this.#cells.set("realised-note", count === undefined ? "" : `incl. ${count} closed`, "In USD at the present price of SOL");
  }

  #showToday({ profitLossSol }) {
    const { since = null, startProfitSol: start = null, closedProfitSol: closed } = this.#results?.today ?? {};
    const known = since !== null && start !== null;
    const change = known ? String(Decimal.of(profitLossSol).plus(Decimal.of(closed)).minus(Decimal.of(start))) : null;
    this.#cells.pair("today", change, this.#inUsd(change), format.signed);
    const note = known ? `since ${format.clock(since).slice(0, 5)}` : "not known";
    this.#cells.set("today-note", note, known ? `Since the first price of the day (UTC), ${format.moment(since)}; in USD at the present price of SOL` : "");
  }

  #inUsd(sol) {
    return sol === null || this.#solUsd === null ? null : String(Decimal.of(sol).times(Decimal.of(this.#solUsd)).rounded(6));
  }

  #draw(store, value) {
    if (!store.portfolio.add(Date.parse(store.updatedAt), value)) return;
    const path = line(store.portfolio.points, 400, 84, 4);
    this.#line.setAttribute("d", path);
    this.#fill.setAttribute("d", area(path, 400, 84));
    const change = value - store.portfolio.first;
    byId("portfolio").dataset.direction = format.direction(String(Math.sign(change)));
  }
}
