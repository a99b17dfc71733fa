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
import { endFlash, flashChanges } from "./flashes.js";
import * as format from "./format.js";
import { pathOf } from "./navigation.js";
import { line } from "./series.js";
import * as times from "./times.js";

// What no price changes: nearly always it is as it was.
const HELD = /** @type {const} */ ([
  "tokenAddress", "tokenSymbol", "walletAddress", "remainingAmount", "purchaseAmount", "purchasePrice",
  "currentStopLossPercentage", "takeProfitLevelsHit", "totalTakeProfitLevels", "moonBagActivated", "dcaCount",
  "createdAt",
]);
const FIVE = Decimal.of("5");
const WHOLE = { ...format.signed, minimumFractionDigits: 0, maximumFractionDigits: 0 };
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
  /** @type {PendingAction | undefined} */
  #pending;
  /** @type {Wire.Mode | null} */
  #mode = null;
  /** @type {Set<string>} */
  #absent = new Set();
  /** @type {unknown} the last point of the line that is drawn */
  #drawn = null;
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
    const before = this.#shown;
    this.dirty = false;
    const isSame = before !== null && pending === this.#pending && mode === this.#mode;
    if (!isSame || HELD.some((name) => before[name] !== position[name])) this.#showHeld(position, pending, mode);
    const known = position.priceSource === "live";
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
    this.#showStopDistance(position, pending);
    cells.set("age", times.age(now - Date.parse(position.createdAt)), this.#opened);
    this.#showTrend(series);
    if (before && flash) flashChanges(this.#cells, before, position, note.status === "live");
    this.#shown = position;
  }

  /**
   * What no price changes.
   *
   * @param {Wire.LivePosition} position
   * @param {PendingAction | undefined} pending
   * @param {Wire.Mode | null} mode
   */
  #showHeld(position, pending, mode) {
    const cells = this.#cells;
    [this.#pending, this.#mode] = [pending, mode];
    this.#showToken(position);
    const wallet = format.shortAddress(position.walletAddress);
    const money = mode === "simulation" ? "simulated" : mode;
    cells.set("wallet", `${wallet} ${money ?? ""}`.trim(), position.walletAddress);
    cells.set("amount", format.amount(position.remainingAmount), position.remainingAmount);
    cells.set("average", format.price(position.purchasePrice), sol(position.purchasePrice));
    const percentage = stopOf(position, pending);
    const price = stopLossPrice(position.purchasePrice, percentage);
    this.#none("stop", percentage === null);
    cells.set("stop", format.chosenPercent(percentage), price === null ? "" : `Sells at ${price} SOL`);
    this.#showTaken(position);
    this.#none("dca", !position.dcaCount);
    cells.set("dca", position.dcaCount ? `${position.dcaCount}×` : format.UNKNOWN, "Number of additional purchases");
    cells.hide("pending", !pending);
    cells.set("pending", pending?.text ?? "");
    this.element.toggleAttribute("data-pending", pending !== undefined);
  }

  /** @param {Series} series of the token's price */
  #showTrend(series) {
    const last = series.points.at(-1);
    if (last === this.#drawn) return;
    this.#drawn = last;
    this.#cells.put("trend", "d", line(series.points, 84, 30));
    this.#cells.mark("trend", String(Math.sign((series.last ?? 0) - (series.first ?? 0))));
  }

  /** Its position is gone: say so, where the row must stay for a moment. */
  leave() {
    this.element.setAttribute("data-gone", "");
    this.#cells.hide("pending", false);
    this.#cells.set("pending", "Closed");
  }

  /** Let no cell flash any more. */
  calm() {
    endFlash(this.#cells);
  }

  /** @param {Wire.LivePosition} position */
  #showToken({ id, agentId, tokenSymbol, tokenAddress, createdAt }) {
    this.#cells.put("symbol", "href", pathOf(agentId, id));
    this.#cells.set("symbol", tokenSymbol, `${format.symbol(tokenSymbol)}: details`);
    this.#cells.address("address", tokenAddress, tokenSymbol);
    this.#opened = `Opened ${times.moment(createdAt)}`;
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
    this.#data("priceStatus", status);
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
   * Write an attribute of the row, only on change: all its cells are styled by it.
   *
   * @param {string} name
   * @param {string} value
   */
  #data(name, value) {
    const { dataset } = this.element;
    if (dataset[name] !== value) dataset[name] = value;
  }

  /**
   * @param {Wire.LivePosition} position
   * @param {PendingAction | undefined} pending
   */
  #showStopDistance(position, pending) {
    const distance = stopDistance({ ...position, currentStopLossPercentage: stopOf(position, pending) });
    if (distance === null) {
      this.#cells.set("stop-distance", "");
      this.#data("stop", "");
    } else {
      const reached = distance.sign <= 0;
      const text = reached ? "reached" : `${format.percent(String(distance.rounded(2)))} away`;
      this.#cells.set("stop-distance", text, "How far the price can fall before it sells");
      const near = distance.compare(FIVE) < 0 ? "near" : "";
      this.#data("stop", reached ? "reached" : near);
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
}

/**
 * The percentage of its stop loss, also of one that has just been requested; null without one.
 *
 * @param {Wire.LivePosition} position
 * @param {PendingAction | undefined} pending
 */
const stopOf = ({ currentStopLossPercentage }, pending) =>
  pending?.stopLoss === undefined ? currentStopLossPercentage : pending.stopLoss;

/**
 * Percent without decimals from 100% on: they no longer matter there.
 *
 * @param {Wire.Digits} digits
 */
const shortPercent = (digits) => format.percent(digits, Math.abs(Number(digits)) >= 100 ? WHOLE : format.signed);
