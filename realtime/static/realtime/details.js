/**
 * One position in full: its figures, the price since the page first had it, its events, its transactions.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Note } from "./price-status.js"
 * @import { Prices } from "./prices.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { Cells } from "./cells.js";
import { around, byId, find, make, write } from "./dom.js";
import { showFacts } from "./facts.js";
import { describeAll } from "./feed.js";
import * as format from "./format.js";
import { item } from "./history.js";
import { area, line } from "./series.js";
import { isAborted } from "./session.js";

const WIDTH = 440;
const HEIGHT = 120;
const MARGIN = 6;

export class Details {
  #dialog = byId("details", HTMLDialogElement);
  #cells = new Cells(this.#dialog);
  #chart = byId("price-chart", SVGElement);
  #moveStop = byId("move-stop", HTMLButtonElement);
  #closePosition = byId("close-position", HTMLButtonElement);
  #session;
  #prices;
  #noteOf;
  /** @type {ChosenAgent | null} */
  #agent = null;
  /** @type {string | null} */
  #id = null;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {Prices} options.prices
   * @param {(position: Wire.LivePosition) => Note} options.noteOf how reliable its price is
   * @param {(text: string) => void} options.onCopy
   * @param {(id: string) => void} options.onMoveStop
   * @param {(id: string) => void} options.onClose
   */
  constructor({ session, prices, noteOf, onCopy, onMoveStop, onClose }) {
    this.#session = session;
    this.#prices = prices;
    this.#noteOf = noteOf;
    this.#dialog.addEventListener("click", (event) => {
      const copied = around(event, ".copy");
      if (copied) onCopy(copied.title);
      else if (event.target === this.#dialog || around(event, "[data-close]")) this.#dialog.close();
    });
    this.#dialog.addEventListener("close", () => {
      this.#id = this.#agent = null;
    });
    this.#moveStop.addEventListener("click", () => this.#id !== null && onMoveStop(this.#id));
    this.#closePosition.addEventListener("click", () => this.#id !== null && onClose(this.#id));
  }

  /** @param {string} id */
  shows(id) {
    return this.#id === id;
  }

  /**
   * @param {ChosenAgent} agent
   * @param {string} id
   */
  open(agent, id) {
    this.#agent = agent;
    this.#id = id;
    byId("details-history").replaceChildren();
    write("details-history-note", "Loading…");
    this.render();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.loadHistory();
  }

  close() {
    this.#dialog.close();
  }

  /** Write the figures of the position that is shown, if any. */
  render() {
    if (this.#agent === null || this.#id === null) return;
    const position = this.#agent.store.get(this.#id);
    const gone = position === undefined;
    this.#moveStop.disabled = this.#closePosition.disabled = gone;
    this.#dialog.toggleAttribute("data-gone", gone);
    if (gone) {
      this.#cells.set("chart-caption", "This position is closed.");
      return;
    }
    const cells = this.#cells;
    cells.set("symbol", position.tokenSymbol);
    cells.address("address", position.tokenAddress, position.tokenSymbol);
    cells.pair("value", position.positionValueSol, position.positionValueUsd);
    const profit = `${format.sol(position.profitLossSol, format.signed)} SOL`;
    cells.set("profit", profit, `${position.profitLossSol} SOL`);
    cells.mark("profit", position.profitLossSol);
    cells.set("return", `(${format.percent(position.profitLossPercent, format.signed)})`);
    cells.mark("return", position.profitLossPercent);
    const note = this.#noteOf(position);
    this.#dialog.dataset.priceStatus = note.status;
    cells.set("price-note", note.meaning);
    cells.hide("price-note", note.status === "live");
    this.#draw(position);
    showFacts(position, note, position.liquidityUsd ?? this.#prices.liquidity(position.tokenAddress));
    showTransactions(position);
  }

  /** Read the position's events again. */
  async loadHistory() {
    const [agent, id] = [this.#agent, this.#id];
    if (agent === null || id === null) return;
    let note = "";
    try {
      const events = await api.events(this.#session, agent.id, { positionId: id, signal: agent.signal });
      if (id !== this.#id) return;
      const items = describeAll(events).reverse().map((entry) => item(entry, { withSymbol: false }));
      byId("details-history").replaceChildren(...items);
      if (items.length === 0) note = "The events of this position have been deleted.";
    } catch (error) {
      if (isAborted(error)) return;
      note = `The history is unavailable: ${error instanceof Error ? error.message : error}`;
    }
    if (id === this.#id) write("details-history-note", note);
  }

  /** @param {Wire.LivePosition} position */
  #draw({ tokenAddress, purchasePrice }) {
    const series = this.#prices.series(tokenAddress);
    const { points } = series;
    const path = line(points, WIDTH, HEIGHT, MARGIN);
    const trend = (series.last ?? 0) - (series.first ?? 0);
    this.#chart.dataset.direction = format.direction(String(Math.sign(trend)));
    const values = points.map(([, value]) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const average = Number(purchasePrice);
    const inside = path !== "" && average >= low && average <= high;
    const y = HEIGHT - MARGIN - ((average - low) / (high - low)) * (HEIGHT - 2 * MARGIN);
    find(this.#chart, ".line", SVGElement).setAttribute("d", path);
    find(this.#chart, ".fill", SVGElement).setAttribute("d", area(path, WIDTH, HEIGHT));
    find(this.#chart, ".average", SVGElement).setAttribute("d", inside ? `M0 ${y.toFixed(1)}H${WIDTH}` : "");
    let caption = "The chart starts with the next live price.";
    if (path !== "") {
      const range = `${format.price(String(low))} to ${format.price(String(high))} SOL`;
      caption = `${range} since ${format.minute(new Date(points[0][0]))}`;
      if (inside) caption += "; dashed: the average price";
    }
    this.#cells.set("chart-caption", caption);
  }
}

/** @param {Wire.LivePosition} position */
function showTransactions({ purchaseTransactionId, dcaTransactionIds, takeProfitTransactionIds }) {
  const list = byId("details-transactions");
  const all = [
    { what: "Purchase", ids: purchaseTransactionId ? [purchaseTransactionId] : [] },
    { what: "Bought more", ids: dcaTransactionIds },
    { what: "Sale", ids: takeProfitTransactionIds },
  ].flatMap(({ what, ids }) => ids.map((id) => ({ what, id })));
  const key = all.map(({ what, id }) => `${what} ${id}`).join(" ");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...(all.length ? all.map(transaction) : [make("li", "", "No transactions are known.")]));
}

/** @param {{what: string, id: string}} transaction */
function transaction({ what, id }) {
  const short = format.shortAddress(id);
  const copy = make("button", "copy", short);
  copy.type = "button";
  copy.title = id;
  copy.setAttribute("aria-label", `Copy ${short}, the transaction id of: ${what.toLowerCase()}`);
  const li = make("li", "", `${what} `);
  li.append(copy);
  return li;
}
