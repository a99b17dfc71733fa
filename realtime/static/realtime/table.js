/**
 * The table of positions: one row each, written cell by cell.
 *
 * Only textContent and attributes are ever written: a token's symbol is whatever its maker called it.
 */

import { stopLossPrice, totals } from "./accounting.js";
import { Decimal } from "./decimal.js";
import * as format from "./format.js";

export class PositionTable {
  #rows = new Map(); // position id → Row
  #table = document.getElementById("positions");
  #body = document.getElementById("rows");
  #template = document.getElementById("position-row");
  #totals = new Cells(document.getElementById("totals"));

  /** Show what the store holds, touching only what changed since the last call. */
  render(store) {
    let added = false;
    for (const id of store.takeChanges()) {
      const position = store.get(id);
      const row = this.#rows.get(id);
      if (!position) {
        row?.element.remove();
        this.#rows.delete(id);
      } else if (row) {
        row.show(position);
      } else {
        this.#rows.set(id, new Row(this.#template, position));
        added = true;
      }
    }
    if (added) this.#arrange(store.positions);
    this.#showTotals(store);
  }

  clear() {
    this.#rows.clear();
    this.#body.replaceChildren();
  }

  #arrange(positions) {
    let next = this.#body.firstElementChild;
    for (const { id } of positions) {
      const { element } = this.#rows.get(id);
      if (element === next) next = next.nextElementSibling;
      else this.#body.insertBefore(element, next);
    }
  }

  #showTotals(store) {
    const positions = [...store.positions];
    const sum = totals(positions);
    this.#totals.set("count", `${positions.length} ${positions.length === 1 ? "position" : "positions"}`);
    showWorth(this.#totals, sum);
    const wallets = new Set(positions.map((position) => position.walletAddress));
    this.#table.classList.toggle("many-wallets", wallets.size > 1);
  }
}

class Row {
  #cells;
  #shown = null;

  constructor(template, position) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.positionId = position.id;
    this.#cells = new Cells(this.element);
    this.show(position);
  }

  show(position) {
    const cells = this.#cells;
    const live = position.priceSource === "live";
    const stop = position.currentStopLossPercentage;
    const stopPrice = stopLossPrice(position.purchasePrice, stop);
    cells.set("symbol", position.tokenSymbol, position.tokenSymbol);
    cells.set("address", format.shortAddress(position.tokenAddress), position.tokenAddress);
    cells.set("wallet", `wallet ${format.shortAddress(position.walletAddress)}`, position.walletAddress);
    cells.set("amount", format.amount(position.remainingAmount), position.remainingAmount);
    cells.set("average", format.price(position.purchasePrice), sol(position.purchasePrice));
    cells.set("average-usd", format.usdPrice(position.purchasePriceUsd), usd(position.purchasePriceUsd));
    cells.set("price", format.price(position.currentPrice), sol(position.currentPrice));
    cells.set("price-usd", live ? format.usdPrice(position.currentPriceUsd) : "");
    cells.hide("price-usd", !live);
    cells.hide("no-price", live);
    showWorth(cells, position);
    cells.set("change", `price ${format.percent(position.priceChangePercent, format.signed)}`, "The price against the average price");
    cells.set("stop", stop === null ? format.UNKNOWN : format.chosenPercent(stop));
    cells.set("stop-price", stopPrice === null ? "" : `at ${format.price(stopPrice)}`, sol(stopPrice));
    if (this.#shown) this.#flash(this.#shown, position);
    this.#shown = position;
  }

  #flash(before, after) {
    for (const [cell, field] of [["price", "currentPrice"], ["value", "positionValueSol"], ["profit", "profitLossSol"], ["amount", "remainingAmount"]]) {
      const way = Decimal.of(after[field]).compare(Decimal.of(before[field]));
      if (way !== 0) this.#cells.flash(cell, way > 0 ? "up" : "down");
    }
  }
}

/** The cells of one row, by name. */
class Cells {
  #elements = new Map();

  constructor(row) {
    for (const element of row.querySelectorAll("[data-cell]")) this.#elements.set(element.dataset.cell, element);
  }

  /** Write the text, and the title, which holds the figure in full. */
  set(name, text, title = "") {
    const element = this.#elements.get(name);
    if (element.textContent !== text) element.textContent = text;
    if (element.title !== title) element.title = title;
  }

  mark(name, direction) {
    this.#elements.get(name).dataset.direction = direction;
  }

  hide(name, hidden) {
    this.#elements.get(name).hidden = hidden;
  }

  /** Play the flash. Two names for one animation take turns: with the same name again, it would not start over. */
  flash(name, direction) {
    const { dataset } = this.#elements.get(name);
    dataset.flash = dataset.flash === direction ? `${direction}-again` : direction;
  }
}

/** Value, profit or loss, and return: of a position, or of all. */
function showWorth(cells, worth) {
  cells.set("value", format.sol(worth.positionValueSol), sol(worth.positionValueSol));
  cells.set("value-usd", format.usd(worth.positionValueUsd), usd(worth.positionValueUsd));
  cells.set("profit", format.sol(worth.profitLossSol, format.signed), sol(worth.profitLossSol));
  cells.set("profit-usd", format.usd(worth.profitLossUsd, format.signed), usd(worth.profitLossUsd));
  cells.set("return", format.percent(worth.profitLossPercent, format.signed), `${worth.profitLossPercent}%`);
  cells.mark("profit", format.direction(worth.profitLossSol));
  cells.mark("profit-usd", format.direction(worth.profitLossUsd));
  cells.mark("return", format.direction(worth.profitLossPercent));
}

const sol = (digits) => (digits === null ? "" : `${digits} SOL`);
const usd = (digits) => (digits === null ? "USD is not known" : `${digits} USD`);
