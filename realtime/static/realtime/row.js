/**
 * One position's row.
 *
 * @import { PendingAction } from "./agent.js"
 * @import { Series } from "./series.js"
 */

import { solInUsd, stopLossPrice } from "./accounting.js";
import { Cells, sol, usd } from "./cells.js";
import { stopDistance } from "./columns.js";
import { Decimal, HUNDRED } from "./decimal.js";
import * as format from "./format.js";
import { pathOf } from "./navigation.js";
import { line } from "./series.js";

/** @type {[cell: string, field: "currentPrice" | "positionValueSol" | "profitLossSol" | "remainingAmount"][]} */
const FLASHING = [
  ["price", "currentPrice"],
  ["value", "positionValueSol"],
  ["profit", "profitLossSol"],
  ["amount", "remainingAmount"],
];
const FLASHING_ALWAYS = FLASHING.filter(([cell]) => cell === "amount");
const FIVE = Decimal.of("5");
// Every sale moves the price a little; from here on it is worth knowing before one sells.
const NOTABLE_LOSS = Decimal.of("0.9");

/**
 * What a row shows besides its position.
 *
 * @typedef {object} Context
 * @property {PendingAction | undefined} pending what the user has requested, until it is confirmed
 * @property {import("./price-status.js").Note} note how reliable the price is
 * @property {Wire.Mode | null} mode of the money in its wallet; null while unknown
 * @property {Series} series of the token's price
 * @property {number} now milliseconds of the epoch
 */

export class Row {
  #cells;
  /** @type {Wire.LivePosition | null} */
  #shown = null;
  /** @type {Set<string>} */
  #absent = new Set();
  #opened = "";
  visible = true; // until the browser says otherwise
  dirty = true;

  /**
   * @param {HTMLTemplateElement} template
   * @param {string} id
   */
  constructor(template, id) {
    this.element = /** @type {HTMLTableRowElement} */ (template.content.firstElementChild?.cloneNode(true));
    this.element.dataset.positionId = id;
    this.#cells = new Cells(this.element);
  }

  /**
   * Write the position.
   *
   * @param {Wire.LivePosition} position
   * @param {Context} context
   * @param {boolean} flash whether changes may flash
   */
  show(position, { pending, note, mode, series, now }, flash) {
    const cells = this.#cells;
    const known = position.priceSource === "live";
    this.dirty = false;
    if (this.#shown?.tokenAddress !== position.tokenAddress || this.#shown.tokenSymbol !== position.tokenSymbol) {
      this.#showToken(position);
    }
    const wallet = format.shortAddress(position.walletAddress);
    const money = mode === "simulation" ? "simulated" : mode;
    cells.set("wallet", `${money ?? "wallet"} ${wallet}`, position.walletAddress);
    cells.set("amount", format.amount(position.remainingAmount), position.remainingAmount);
    cells.set("average", format.price(position.purchasePrice), sol(position.purchasePrice));
    cells.set("average-usd", format.usdPrice(position.purchasePriceUsd), usd(position.purchasePriceUsd));
    cells.set("price", format.price(position.currentPrice), sol(position.currentPrice));
    cells.set("price-usd", known ? format.usdPrice(position.currentPriceUsd) : format.UNKNOWN);
    this.#showStatus(note);
    cells.pair("value", position.positionValueSol, position.positionValueUsd);
    this.#showExit(position);
    cells.gain("profit", position.profitLossSol, position.profitLossUsd);
    const { profitLossPercent: profit, priceChangePercent: change } = position;
    cells.set("return", format.percent(profit, format.signed), `${profit}% of the amount invested`);
    cells.mark("return", profit);
    cells.set("change", `price ${shortPercent(change)}`, `Price compared to the average price: ${change}%`);
    this.#showStop(position, pending);
    this.#showTaken(position);
    this.#none("dca", !position.dcaCount);
    cells.set("dca", position.dcaCount ? `${position.dcaCount}×` : format.UNKNOWN, "Number of additional purchases");
    cells.set("age", format.age(now - Date.parse(position.createdAt)), this.#opened);
    cells.put("trend", "d", line(series.points, 84, 30));
    const trend = (series.last ?? 0) - (series.first ?? 0);
    cells.mark("trend", String(Math.sign(trend)));
    cells.hide("pending", !pending);
    cells.set("pending", pending?.text ?? "");
    this.element.toggleAttribute("data-pending", pending !== undefined);
    if (this.#shown && flash) this.#flash(this.#shown, position, note.status === "live");
    this.#shown = position;
  }

  /** Its position is gone: say so, where the row must stay for a moment. */
  leave() {
    this.element.setAttribute("data-gone", "");
    this.#cells.hide("pending", false);
    this.#cells.set("pending", "Closed");
  }

  /** Let no cell flash any more. */
  calm() {
    for (const [cell] of FLASHING) delete this.#cells.get(cell).dataset.flash;
  }

  /** @param {Wire.LivePosition} position */
  #showToken({ id, agentId, tokenSymbol, tokenAddress, createdAt }) {
    this.#cells.put("symbol", "href", pathOf(agentId, id));
    this.#cells.set("symbol", tokenSymbol, `${format.symbol(tokenSymbol)}: details`);
    this.#cells.address("address", tokenAddress, tokenSymbol);
    this.#opened = `Opened ${format.moment(createdAt)}`;
  }

  /**
   * Mark what a card can leave out: there is none of it.
   *
   * @param {string} name
   * @param {boolean} is
   */
  #none(name, is) {
    if (is === this.#absent.has(name)) return;
    if (is) this.#absent.add(name);
    else this.#absent.delete(name);
    this.element.dataset.none = [...this.#absent].join(" ");
  }

  /** @param {import("./price-status.js").Note} note */
  #showStatus({ status, brief, meaning }) {
    this.#cells.set("price-status", brief, meaning);
    this.#cells.hide("price-status", status === "live");
    this.#cells.put("price-status", "data-kind", status === "gone" ? "danger" : "warning");
    this.element.dataset.priceStatus = status;
  }

  /**
   * What a sale would bring, where that is much less than the value.
   *
   * @param {Wire.LivePosition} position
   */
  #showExit({ exitValueSol = null, positionValueSol, currentPrice, currentPriceUsd }) {
    const value = Decimal.of(positionValueSol);
    const exit = exitValueSol === null ? value : Decimal.of(exitValueSol);
    const notable = exit.compare(value.times(NOTABLE_LOSS)) < 0;
    this.#cells.hide("exit-line", !notable);
    if (!notable) return;
    const inUsd = solInUsd(currentPrice, currentPriceUsd)?.times(exit).rounded(6) ?? null;
    this.#cells.pair("exit", exitValueSol, inUsd && String(inUsd));
  }

  /**
   * @param {Wire.LivePosition} position
   * @param {PendingAction | undefined} pending
   */
  #showStop(position, pending) {
    const percentage = pending?.stopLoss === undefined ? position.currentStopLossPercentage : pending.stopLoss;
    this.#none("stop", percentage === null);
    const price = stopLossPrice(position.purchasePrice, percentage);
    this.#cells.set("stop", format.chosenPercent(percentage), price === null ? "" : `Sells at ${price} SOL`);
    const distance = stopDistance({ ...position, currentStopLossPercentage: percentage });
    const { dataset } = this.element;
    if (distance === null) {
      this.#cells.set("stop-distance", "");
      dataset.stop = "";
    } else {
      const reached = distance.sign <= 0;
      const text = reached ? "reached" : `${format.percent(String(distance.rounded(2)))} away`;
      this.#cells.set("stop-distance", text, "How far the price can fall before it sells");
      const near = distance.compare(FIVE) < 0 ? "near" : "";
      dataset.stop = reached ? "reached" : near;
    }
  }

  /** @param {Wire.LivePosition} position */
  #showTaken(position) {
    const { purchaseAmount, remainingAmount, takeProfitLevelsHit: hits, moonBagActivated: moon } = position;
    const planned = position.totalTakeProfitLevels ?? null;
    const bought = Decimal.of(purchaseAmount);
    const sold = bought.minus(Decimal.of(remainingAmount));
    const share = bought.sign ? sold.over(bought, 20).times(HUNDRED).rounded(2) : sold;
    this.#none("taken", !hits && planned === null);
    const what = planned === null ? "Number of times profit was taken" : "Take-profit levels hit, of those planned";
    const taken = format.levels(hits, planned);
    const title = `${what}${moon ? "; the rest is a moon bag" : ""}`;
    this.#cells.set("taken", moon && hits ? `${taken} moon` : taken, title);
    this.#cells.put("progress", "value", String(share));
    this.#cells.hide("progress", sold.sign <= 0);
    const rounded = format.percent(String(share.rounded(1)));
    if (sold.sign > 0) this.#cells.set("sold", `${rounded} sold`, `${sold} of ${purchaseAmount} sold`);
    else this.#cells.set("sold", "");
  }

  /**
   * Play the flash. Two names for one animation take turns: with the same name again, it would not start over.
   *
   * @param {Wire.LivePosition} before
   * @param {Wire.LivePosition} after
   * @param {boolean} live whether the price is
   */
  #flash(before, after, live) {
    for (const [cell, field] of live ? FLASHING : FLASHING_ALWAYS) {
      const way = Decimal.of(after[field]).compare(Decimal.of(before[field]));
      if (way === 0) continue;
      const direction = way > 0 ? "up" : "down";
      const { dataset } = this.#cells.get(cell);
      dataset.flash = dataset.flash === direction ? `${direction}-again` : direction;
    }
  }
}

/**
 * Percent without decimals from 100% on: they no longer matter there.
 *
 * @param {Wire.Digits} digits
 */
function shortPercent(digits) {
  const whole = { minimumFractionDigits: 0, maximumFractionDigits: 0 };
  return format.percent(digits, { ...format.signed, ...(Math.abs(Number(digits)) >= 100 && whole) });
}
