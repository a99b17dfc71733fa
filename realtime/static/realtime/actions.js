/**
 * What the user does to a position: close it, move its stop loss. Asked first, shown as wished for at once, and taken
 * back with the reason where the server refuses. What is true comes over the socket.
 */

import { stopLossPrice } from "./accounting.js";
import * as api from "./api.js";
import { Decimal, HUNDRED } from "./decimal.js";
import * as format from "./format.js";
import { LoginRequired } from "./nexgent.js";

const LOWEST = Decimal.of("-100");
const LIMIT = Decimal.of("100000");
const CONFIRMED_WITHIN_MS = 10_000;

const byId = (id) => document.getElementById(id);

export class Actions {
  #pending = new Map(); // position id → {text, stopLoss?}

  /** @param handlers `{session, position(id), onPending(id), onError(text), onLoginRequired()}` */
  constructor(handlers) {
    this.handlers = handlers;
    // No submit button: Enter in the field would press the first of them.
    byId("stop-cancel").addEventListener("click", () => byId("stop-dialog").close("cancel"));
    byId("stop-percentage").addEventListener("input", () => this.#showStop());
  }

  /** What is asked for and not confirmed yet. */
  pending(id) {
    return this.#pending.get(id);
  }

  clear() {
    this.#pending.clear();
    for (const id of ["close-dialog", "stop-dialog"]) byId(id).close("cancel");
  }

  /** The position has changed, or is gone (undefined): is it what was asked for? */
  confirm(id, position) {
    const wish = this.#pending.get(id);
    if (!wish) return;
    if (!position || (wish.stopLoss !== undefined && same(wish.stopLoss, position.currentStopLossPercentage))) this.#settle(id);
  }

  async close(id) {
    const position = this.handlers.position(id);
    const live = position.priceSource === "live";
    const { tokenSymbol: symbol } = position;
    byId("close-title").textContent = `Close ${symbol}?`;
    byId("close-text").textContent = live
      ? `All ${format.amount(position.remainingAmount)} ${symbol} are sold at about ${format.price(position.currentPrice)} SOL, which brings about ${format.sol(position.positionValueSol)} SOL. The position then ends with ${format.sol(position.profitLossSol, format.signed)} SOL (${format.percent(position.profitLossPercent, format.signed)}).`
      : `All ${format.amount(position.remainingAmount)} ${symbol} are sold at the market price. No price is known here: the server refuses if it knows none either.`;
    if ((await ask("close-dialog")) !== "confirm") return;
    await this.#do(id, { text: "Closing…" }, () => api.closePosition(this.handlers.session, id), `${symbol} was not closed`);
  }

  async moveStopLoss(id) {
    const position = this.handlers.position(id);
    this.asked = position;
    byId("stop-title").textContent = `Stop loss of ${position.tokenSymbol}`;
    byId("stop-percentage").value = position.currentStopLossPercentage ?? "";
    this.#showStop();
    if ((await ask("stop-dialog")) !== "confirm") return;
    const { digits } = readPercentage(byId("stop-percentage").value);
    if (digits === undefined) return;
    const wish = { text: "Moving stop loss…", stopLoss: digits };
    await this.#do(id, wish, () => api.moveStopLoss(this.handlers.session, id, digits), `The stop loss of ${position.tokenSymbol} was not moved`);
  }

  async #do(id, wish, request, failure) {
    if (this.#pending.has(id)) return;
    this.#pending.set(id, wish);
    this.handlers.onPending(id);
    try {
      await request();
      // The event is on its way, or has been here.
      setTimeout(() => this.#pending.get(id) === wish && this.#settle(id), CONFIRMED_WITHIN_MS);
    } catch (error) {
      if (this.#pending.get(id) === wish) this.#settle(id);
      if (error instanceof LoginRequired) this.handlers.onLoginRequired();
      else this.handlers.onError(`${error.status === 0 ? `${failure}, or nobody knows: ` : `${failure}: `}${sentence(error)}`);
    }
  }

  #settle(id) {
    this.#pending.delete(id);
    this.handlers.onPending(id);
  }

  #showStop() {
    const { digits, problem } = readPercentage(byId("stop-percentage").value);
    byId("stop-confirm").disabled = problem !== undefined;
    byId("stop-error").hidden = !problem;
    byId("stop-error").textContent = problem ?? "";
    byId("stop-text").textContent = digits === undefined ? "" : consequence(this.asked, digits);
  }
}

/** What a stop loss of these percent would do. */
function consequence(position, digits) {
  const stop = stopLossPrice(position.purchasePrice, digits);
  const at = `The agent sells when the price falls to ${format.price(stop)} SOL`;
  const price = Decimal.of(position.currentPrice);
  if (position.priceSource !== "live" || price.sign === 0) return `${at}. The price now is not known.`;
  const distance = price.minus(Decimal.of(stop)).over(price, 20).times(HUNDRED).rounded(2);
  if (distance.sign <= 0) return `${at}. The price is ${format.price(position.currentPrice)} SOL, at or below that already: it may sell at once.`;
  return `${at}, ${format.percent(String(distance))} below the price now.`;
}

/** `{digits}`, or `{problem}`; the latter "" while nothing is typed. */
export function readPercentage(text) {
  const digits = text.trim().replace("−", "-").replace(",", ".").replace(/%$/, "").trim();
  if (digits === "" || digits === "-") return { problem: "" };
  if (!/^[+-]?\d{1,6}(\.\d+)?$/.test(digits)) return { problem: "Type a number, such as -20 or 5.5." };
  const number = Decimal.of(digits);
  if (number.rounded(4).compare(number) !== 0) return { problem: "At most 4 decimals." };
  if (number.compare(LOWEST) < 0 || number.compare(LIMIT) >= 0) return { problem: "From -100 to less than 100000." };
  return { digits: number.toString() };
}

function ask(id) {
  const dialog = byId(id);
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue), { once: true }));
}

const same = (digits, other) => other !== null && Decimal.of(digits).compare(Decimal.of(other)) === 0;
const sentence = ({ status, message }) =>
  status === 0 ? `${message} The table shows what is true as soon as it is live.` : message;
