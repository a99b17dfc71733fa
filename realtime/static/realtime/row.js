/**
 * One position's row.
 */

import { stopLossPrice } from "./accounting.js";
import { Cells, sol, usd } from "./cells.js";
import { stopDistance } from "./columns.js";
import { Decimal, HUNDRED } from "./decimal.js";
import * as format from "./format.js";
import { line } from "./series.js";

const FLASHING = [["price", "currentPrice"], ["value", "positionValueSol"], ["profit", "profitLossSol"], ["amount", "remainingAmount"]];

export class Row {
  #cells;
  #shown = null;
  #absent = new Set();
  #opened = "";
  visible = true; // until the browser says otherwise
  dirty = true;

  constructor(template, id) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.positionId = id;
    this.#cells = new Cells(this.element);
  }

  /**
   * Write the position.
   *
   * @param context `{pending, staleSince, series, now}`: what the user has asked for and is not confirmed yet; the time
   *   of a price that is old, or null; the session's prices; milliseconds of the epoch.
   * @param flash whether changes may flash.
   */
  show(position, { pending, staleSince, series, now }, flash) {
    const cells = this.#cells;
    const live = position.priceSource === "live";
    this.dirty = false;
    if (this.#shown?.tokenAddress !== position.tokenAddress || this.#shown?.tokenSymbol !== position.tokenSymbol) {
      cells.set("symbol", position.tokenSymbol, `${position.tokenSymbol}: details`);
      cells.set("address", format.shortAddress(position.tokenAddress), position.tokenAddress);
      cells.put("address", "aria-label", `Copy ${format.shortAddress(position.tokenAddress)}, the address of ${position.tokenSymbol}`);
      this.#opened = `Opened ${format.moment(position.createdAt)}`;
      cells.set("wallet", `wallet ${format.shortAddress(position.walletAddress)}`, position.walletAddress);
    }
    cells.set("amount", format.amount(position.remainingAmount), position.remainingAmount);
    cells.set("average", format.price(position.purchasePrice), sol(position.purchasePrice));
    cells.set("average-usd", format.usdPrice(position.purchasePriceUsd), usd(position.purchasePriceUsd));
    cells.set("price", format.price(position.currentPrice), sol(position.currentPrice));
    cells.set("price-usd", live ? format.usdPrice(position.currentPriceUsd) : format.UNKNOWN);
    this.#showPriceAge(live, staleSince, now);
    cells.pair("value", position.positionValueSol, position.positionValueUsd);
    cells.pair("profit", position.profitLossSol, position.profitLossUsd, format.signed);
    cells.set("return", format.percent(position.profitLossPercent, format.signed), `${position.profitLossPercent}% of all that was invested`);
    cells.mark("return", position.profitLossPercent);
    cells.set("change", `price ${change(position.priceChangePercent)}`, `The price against the average price: ${position.priceChangePercent}%`);
    this.#showStop(position, pending);
    this.#showTaken(position);
    this.#none("dca", !position.dcaCount);
    cells.set("dca", position.dcaCount ? `${position.dcaCount}×` : format.UNKNOWN, "Bought more, so many times");
    cells.set("age", format.age(now - Date.parse(position.createdAt)), this.#opened);
    cells.put("trend", "d", line(series.points, 84, 30));
    cells.mark("trend", series.points.length ? String(Math.sign(series.last - series.first)) : null);
    cells.hide("pending", !pending);
    cells.set("pending", pending?.text ?? "");
    this.element.toggleAttribute("data-pending", Boolean(pending));
    if (this.#shown && flash) this.#flash(this.#shown, position);
    this.#shown = position;
  }

  /** Mark what a card can leave out: there is none of it. */
  #none(name, is) {
    if (is === this.#absent.has(name)) return;
    this.#absent[is ? "add" : "delete"](name);
    this.element.dataset.none = [...this.#absent].join(" ");
  }

  /** Let no cell flash any more. */
  calm() {
    for (const [cell] of FLASHING) delete this.#cells.get(cell).dataset.flash;
  }

  #showPriceAge(live, staleSince, now) {
    const text = live ? staleSince && `${format.age(now - Date.parse(staleSince))} old` : "no live price";
    this.#cells.set("no-price", text ?? "", live && staleSince ? `The price is of ${format.moment(staleSince)}` : "");
    this.#cells.hide("no-price", !text);
    this.element.toggleAttribute("data-stale", Boolean(text));
  }

  #showStop(position, pending) {
    const percentage = pending?.stopLoss ?? position.currentStopLossPercentage;
    this.#none("stop", percentage === null);
    const distance = stopDistance({ ...position, currentStopLossPercentage: percentage });
    const price = stopLossPrice(position.purchasePrice, percentage);
    this.#cells.set("stop", percentage === null ? format.UNKNOWN : format.chosenPercent(percentage), price === null ? "" : `Sells at ${price} SOL`);
    let text = "";
    if (distance !== null) text = distance.sign > 0 ? `${format.percent(String(distance.rounded(2)))} away` : "reached";
    this.#cells.set("stop-distance", text, distance === null ? "" : "How far the price may fall until then");
    this.element.dataset.stop = distance === null ? "" : distance.sign <= 0 ? "reached" : distance.compare(FIVE) < 0 ? "near" : "";
  }

  #showTaken(position) {
    const bought = Decimal.of(position.purchaseAmount);
    const sold = bought.minus(Decimal.of(position.remainingAmount));
    const share = bought.sign ? sold.over(bought, 20).times(HUNDRED).rounded(2) : sold;
    const hits = position.takeProfitLevelsHit;
    this.#none("taken", !hits);
    this.#cells.set("taken", hits ? `${hits}×${position.moonBagActivated ? " moon" : ""}` : format.UNKNOWN, `Profit taken, so many times${position.moonBagActivated ? "; the rest is a moon bag" : ""}`);
    this.#cells.put("progress", "value", String(share));
    this.#cells.hide("progress", sold.sign <= 0);
    this.#cells.set("sold", sold.sign > 0 ? `${format.percent(String(share.rounded(1)))} sold` : "", sold.sign > 0 ? `${sold} of ${position.purchaseAmount} sold` : "");
  }

  /** Play the flash. Two names for one animation take turns: with the same name again, it would not start over. */
  #flash(before, after) {
    for (const [cell, field] of FLASHING) {
      const way = Decimal.of(after[field]).compare(Decimal.of(before[field]));
      if (way === 0) continue;
      const direction = way > 0 ? "up" : "down";
      const { dataset } = this.#cells.get(cell);
      dataset.flash = dataset.flash === direction ? `${direction}-again` : direction;
    }
  }
}

/** Percent in as little room as it needs: hundredths of a threefold price tell nobody anything. */
const change = (digits) => format.percent(digits, { ...format.signed, ...(Math.abs(Number(digits)) >= 100 && { minimumFractionDigits: 0, maximumFractionDigits: 0 }) });
const FIVE = Decimal.of("5");
