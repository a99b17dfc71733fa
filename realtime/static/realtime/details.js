/**
 * One position in full: its figures, the price since the page was opened, its events, its transactions.
 */

import * as api from "./api.js";
import { Cells, make } from "./cells.js";
import * as format from "./format.js";
import { describeAll, item } from "./history.js";
import { area, line } from "./series.js";
import { stopLossPrice } from "./accounting.js";

const byId = (id) => document.getElementById(id);

export class Details {
  #dialog = byId("details");
  #cells = new Cells(byId("details"));
  #id = null;

  /** @param handlers `{session, agentId(), series(token), onCopy, onMoveStop, onClose}` */
  constructor(handlers) {
    this.handlers = handlers;
    this.#dialog.querySelector("[data-close]").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    this.#dialog.addEventListener("close", () => {
      this.#id = null;
    });
    this.#dialog.querySelector(".copy").addEventListener("click", (event) => handlers.onCopy(event.currentTarget.title));
    byId("details-transactions").addEventListener("click", (event) => {
      const copy = event.target.closest(".copy");
      if (copy) handlers.onCopy(copy.title);
    });
    byId("move-stop").addEventListener("click", () => handlers.onMoveStop(this.#id));
    byId("close-position").addEventListener("click", () => handlers.onClose(this.#id));
  }

  /** Whose details are open; null where none are. */
  get id() {
    return this.#id;
  }

  open(position) {
    this.#id = position.id;
    byId("details-history").replaceChildren();
    byId("details-history-note").textContent = "Loading…";
    this.show(position);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.loadHistory();
  }

  close() {
    this.#dialog.close();
  }

  /** Write the figures; undefined where the position is no longer held. */
  show(position) {
    const gone = position === undefined;
    byId("move-stop").disabled = byId("close-position").disabled = gone;
    this.#dialog.toggleAttribute("data-gone", gone);
    if (gone) {
      this.#cells.set("chart-caption", "This position is closed.");
      return;
    }
    const cells = this.#cells;
    cells.set("symbol", position.tokenSymbol);
    cells.set("address", format.shortAddress(position.tokenAddress), position.tokenAddress);
    cells.put("address", "aria-label", `Copy ${format.shortAddress(position.tokenAddress)}, the address of ${position.tokenSymbol}`);
    cells.pair("value", position.positionValueSol, position.positionValueUsd);
    cells.set("profit", `${format.sol(position.profitLossSol, format.signed)} SOL`, `${position.profitLossSol} SOL`);
    cells.mark("profit", position.profitLossSol);
    cells.set("return", `(${format.percent(position.profitLossPercent, format.signed)})`);
    cells.mark("return", position.profitLossPercent);
    this.#draw(position);
    this.#facts(position);
    this.#transactions(position);
  }

  /** Read the position's events anew. */
  async loadHistory() {
    const id = this.#id;
    const note = byId("details-history-note");
    try {
      const events = await api.events(this.handlers.session, this.handlers.agentId(), { positionId: id });
      if (id !== this.#id) return;
      const items = describeAll(events).reverse().map((entry) => item(entry, { withSymbol: false }));
      byId("details-history").replaceChildren(...items);
      note.textContent = items.length ? "" : "Its events are no longer kept.";
    } catch (error) {
      if (id === this.#id) note.textContent = `The history cannot be read: ${error.message}`;
    }
  }

  #draw(position) {
    const { points } = this.handlers.series(position.tokenAddress);
    const path = line(points, 440, 120, 6);
    const chart = byId("price-chart");
    chart.querySelector(".line").setAttribute("d", path);
    chart.querySelector(".fill").setAttribute("d", area(path, 440, 120));
    chart.dataset.direction = format.direction(points.length ? String(Math.sign(points.at(-1)[1] - points[0][1])) : null);
    const average = Number(position.purchasePrice);
    const values = points.map(([, value]) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const y = 120 - 6 - ((average - low) / (high - low)) * 108;
    const inside = path && average >= low && average <= high;
    chart.querySelector(".average").setAttribute("d", inside ? `M0 ${y.toFixed(1)}H440` : "");
    this.#cells.set("chart-caption", path ? `${format.price(String(low))} to ${format.price(String(high))} SOL since ${format.clock(new Date(points[0][0])).slice(0, 5)}${inside ? "; dashed: the average price" : ""}` : "The line begins with the next prices.");
  }

  #facts(position) {
    const stop = stopLossPrice(position.purchasePrice, position.currentStopLossPercentage);
    const when = (timestamp) => (timestamp ? format.moment(timestamp) : format.UNKNOWN);
    const facts = [
      ["Held", `${format.amount(position.remainingAmount)} of ${format.amount(position.purchaseAmount)} bought`],
      ["Average price", `${format.price(position.purchasePrice)} SOL`],
      ["Price now", position.priceSource === "live" ? `${format.price(position.currentPrice)} SOL` : format.UNKNOWN],
      ["Invested", `${format.sol(position.totalInvestedSol)} SOL`],
      ["Realised", `${format.sol(position.realizedProfitSol, format.signed)} SOL`],
      ["Stop loss", stop === null ? format.UNKNOWN : `${format.chosenPercent(position.currentStopLossPercentage)}, at ${format.price(stop)} SOL`],
      ["Peak price", position.peakPrice === null ? format.UNKNOWN : `${format.price(position.peakPrice)} SOL`],
      ["Lowest buy", position.lowestPrice === null ? format.UNKNOWN : `${format.price(position.lowestPrice)} SOL`],
      ["Bought more", position.dcaCount ? `${position.dcaCount}×, last ${when(position.lastDcaTime)}` : format.UNKNOWN],
      ["Profit taken", position.takeProfitLevelsHit ? `${position.takeProfitLevelsHit}×, last ${when(position.lastTakeProfitTime)}` : format.UNKNOWN],
      ["Moon bag", position.moonBagActivated ? format.amount(position.moonBagAmount) : format.UNKNOWN],
      ["Opened", when(position.createdAt)],
    ];
    const list = byId("details-facts");
    if (list.childElementCount !== 2 * facts.length) list.replaceChildren(...facts.flatMap(() => [make("dt"), make("dd")]));
    facts.flat().forEach((text, index) => {
      if (list.children[index].textContent !== text) list.children[index].textContent = text;
    });
  }

  #transactions(position) {
    const list = byId("details-transactions");
    const all = [
      ["Purchase", position.purchaseTransactionId],
      ...position.dcaTransactionIds.map((id) => ["Bought more", id]),
      ...position.takeProfitTransactionIds.map((id) => ["Sale", id]),
    ].filter(([, id]) => id);
    const key = all.flat().join(" ");
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(
      ...(all.length ? all : [["None is known.", ""]]).map(([what, id]) => {
        const li = make("li", "", `${what} `);
        if (id) {
          const copy = make("button", "copy", format.shortAddress(id));
          Object.assign(copy, { type: "button", title: id });
          copy.setAttribute("aria-label", `Copy ${format.shortAddress(id)}, the transaction id of: ${what.toLowerCase()}`);
          li.append(copy);
        }
        return li;
      }),
    );
  }
}
