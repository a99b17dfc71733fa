/**
 * One position in full: its figures, the price since it was opened, its events, its transactions. One that is closed
 * has its result instead of a value.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Note } from "./price-status.js"
 * @import { Prices } from "./prices.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { Cells } from "./cells.js";
import { moneyOf } from "./currency.js";
import { around, byId, keepFocus, write } from "./dom.js";
import { showClosedFacts, showFacts } from "./facts.js";
import { describeAll } from "./feed.js";
import * as format from "./format.js";
import { item } from "./history.js";
import { PriceChart } from "./price-chart.js";
import { isAborted, RequestFailed } from "./session.js";
import * as times from "./times.js";
import { showTransactions } from "./transactions.js";

// What others show of a token, by its mint.
const EXPLORER = "https://solscan.io/token/";
const CHART = "https://dexscreener.com/solana/";
const NOT_FOUND = "There is no position of this agent at this address.";

export class Details {
  #dialog = byId("details", HTMLDialogElement);
  #cells = new Cells(this.#dialog);
  #deeds = byId("deeds");
  #chart;
  #session;
  #prices;
  #noteOf;
  #onLeave;
  /** @type {ChosenAgent | null} */
  #agent = null;
  /** @type {string | null} */
  #id = null;
  /** @type {Wire.PositionOnRest | null} what REST says of a position that is not open */
  #closed = null;
  #asked = false;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {Prices} options.prices
   * @param {() => number} options.now milliseconds of the epoch, by the server's clock
   * @param {(position: Wire.LivePosition) => Note} options.noteOf how reliable its price is
   * @param {(text: string) => void} options.onCopy
   * @param {(id: string) => void} options.onMoveStop
   * @param {(id: string, share: "50" | "100") => void} options.onSell
   * @param {() => void} options.onLeave is called when the user has closed it.
   */
  constructor({ session, prices, now, noteOf, onCopy, onMoveStop, onSell, onLeave }) {
    this.#session = session;
    this.#prices = prices;
    this.#noteOf = noteOf;
    this.#chart = new PriceChart({ session, now });
    this.#onLeave = onLeave;
    this.#dialog.addEventListener("click", (event) => {
      const copied = around(event, ".copy");
      // The second click of a double click on a row comes down here: it closes nothing.
      const outside = event.target === this.#dialog && event.detail < 2;
      if (copied) onCopy(copied.title);
      else if (outside || around(event, "[data-close]")) this.#dialog.close();
    });
    this.#dialog.addEventListener("close", () => {
      const byUser = this.#id !== null;
      this.#forget();
      if (byUser) this.#onLeave();
      keepFocus();
    });
    byId("move-stop").addEventListener("click", () => this.#id !== null && onMoveStop(this.#id));
    byId("sell-part").addEventListener("click", () => this.#id !== null && onSell(this.#id, "50"));
    byId("close-position").addEventListener("click", () => this.#id !== null && onSell(this.#id, "100"));
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
    this.#forget();
    this.#agent = agent;
    this.#id = id;
    this.#dialog.dataset.state = "loading";
    byId("details-history").replaceChildren();
    write("details-history-note", "Loading…");
    this.render();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.loadHistory();
  }

  close() {
    this.#forget();
    this.#dialog.close();
  }

  /** Write the figures of the position that is shown, if any. */
  render() {
    if (this.#agent === null || this.#id === null) return;
    const { store } = this.#agent;
    const position = store.get(this.#id);
    // One thing at a time: what is asked next is to be of the position as it is after that.
    const isBusy = position === undefined || this.#agent.pending.has(this.#id);
    for (const button of this.#deeds.querySelectorAll("button")) button.disabled = isBusy;
    if (position) {
      this.#closed = null;
      this.#asked = false;
      this.#showOpen(position);
    } else if (this.#closed) {
      this.#showClosed(this.#closed);
    } else if (store.loaded) {
      this.#askForClosed();
    }
  }

  /** @param {Wire.LivePosition} position */
  #showOpen(position) {
    const cells = this.#cells;
    this.#showToken(position, "open");
    cells.pair("value", position.positionValueSol, position.positionValueUsd);
    this.#showProfit(position);
    const note = this.#noteOf(position);
    this.#dialog.dataset.priceStatus = note.status;
    cells.set("price-note", note.meaning);
    cells.hide("price-note", note.status === "live");
    this.#chart.show(position);
    showFacts(position, note, position.liquidityUsd ?? this.#prices.liquidity(position.tokenAddress));
    showTransactions(position);
  }

  /** @param {Wire.PositionOnRest} position */
  #showClosed(position) {
    this.#showToken(position, "closed");
    this.#showProfit(position);
    this.#dialog.dataset.priceStatus = "live"; // its result is final
    const at = position.closedAt === null ? "" : ` since ${times.moment(position.closedAt)}`;
    this.#cells.set("price-note", `This position is closed${at}.`);
    this.#cells.hide("price-note", false);
    this.#chart.show(position);
    showClosedFacts(position);
    showTransactions(position);
  }

  /**
   * @param {Wire.LivePosition} position
   * @param {"open" | "closed"} state
   */
  #showToken({ tokenSymbol, tokenAddress }, state) {
    this.#dialog.dataset.state = state;
    this.#cells.set("symbol", tokenSymbol);
    this.#cells.address("address", tokenAddress, tokenSymbol);
    this.#cells.put("explorer", "href", EXPLORER + encodeURIComponent(tokenAddress));
    this.#cells.put("chart", "href", CHART + encodeURIComponent(tokenAddress));
  }

  /** @param {Wire.LivePosition} position */
  #showProfit(position) {
    const { profitLossSol, profitLossPercent } = position;
    this.#cells.set("profit", moneyOf(position).sum(profitLossSol, format.signed), `${profitLossSol} SOL`);
    this.#cells.mark("profit", profitLossSol);
    this.#cells.set("return", `(${format.percent(profitLossPercent, format.signed)})`);
    this.#cells.mark("return", profitLossPercent);
  }

  /** It is not open: ask once what became of it. */
  async #askForClosed() {
    const [agent, id] = [this.#agent, this.#id];
    if (agent === null || id === null || this.#asked) return;
    this.#asked = true;
    const isOpen = this.#dialog.dataset.state === "open"; // until a moment ago
    this.#say(isOpen ? "This position is closed." : "Loading…");
    try {
      const position = await api.position(this.#session, id, agent.signal);
      if (id !== this.#id) return;
      if (position.agentId !== agent.id) throw new RequestFailed(NOT_FOUND, 404);
      this.#closed = position;
      this.render();
    } catch (error) {
      if (isAborted(error) || id !== this.#id) return;
      const isMissing = error instanceof RequestFailed && error.status === 404;
      this.#dialog.dataset.state = isMissing ? "missing" : this.#dialog.dataset.state;
      this.#say(isMissing ? NOT_FOUND : `Its result is unavailable: ${error instanceof Error ? error.message : error}`);
      if (isMissing) this.#cells.set("symbol", "Not found");
    }
  }

  /** @param {string} sentence instead of what is said of the price */
  #say(sentence) {
    this.#cells.set("price-note", sentence);
    this.#cells.hide("price-note", false);
  }

  /** Prices and events may have been missed: read them again. */
  reload() {
    this.loadHistory();
    this.#chart.reload();
  }

  /** Read the position's events again. */
  async loadHistory() {
    const [agent, id] = [this.#agent, this.#id];
    if (agent === null || id === null) return;
    let note = "";
    try {
      const place = { agentId: agent.id, positionId: id };
      const { events, more } = await api.newestEvents(this.#session, place, agent.signal);
      if (id !== this.#id) return;
      this.#chart.setEvents(events);
      const items = describeAll(events).reverse().map((entry) => item(entry, { withSymbol: false }));
      byId("details-history").replaceChildren(...items);
      if (items.length === 0) note = "No events of this position are kept.";
      if (more) note = `The newest ${events.length} events; all of them: Download as CSV, below the closed positions.`;
    } catch (error) {
      if (isAborted(error)) return;
      note = `The history is unavailable: ${error instanceof Error ? error.message : error}`;
    }
    if (id === this.#id) write("details-history-note", note);
  }

  #forget() {
    this.#chart.end();
    this.#id = this.#agent = this.#closed = null;
    this.#asked = false;
  }
}
