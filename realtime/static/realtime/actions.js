/**
 * What the user does to a position: close it, move its stop loss. Confirmed first, shown as pending at once, and
 * reverted with the reason where the server refuses. The actual state comes over the socket.
 *
 * @import { ChosenAgent, PendingAction } from "./agent.js"
 * @import { Session } from "./session.js"
 */

import { stopLossPrice } from "./accounting.js";
import * as api from "./api.js";
import { Decimal, HUNDRED } from "./decimal.js";
import { byId, write } from "./dom.js";
import * as format from "./format.js";
import { LoginRequired } from "./nexgent.js";
import { isAborted, RequestFailed } from "./session.js";

const LOWEST = Decimal.of("-100");
const LIMIT = Decimal.of("100000");
const CONFIRMED_WITHIN_MS = 10_000;

export class Actions {
  #closeDialog = byId("close-dialog", HTMLDialogElement);
  #stopDialog = byId("stop-dialog", HTMLDialogElement);
  #percentage = byId("stop-percentage", HTMLInputElement);
  #confirmStop = byId("stop-confirm", HTMLButtonElement);
  /** @type {Wire.LivePosition | null} whose stop loss is asked for */
  #asked = null;
  #session;
  #onPending;
  #onError;
  #onLoginRequired;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {(id: string) => void} options.onPending is called with a position whose pending action is new or done.
   * @param {(text: string) => void} options.onError
   * @param {() => void} options.onLoginRequired
   */
  constructor({ session, onPending, onError, onLoginRequired }) {
    this.#session = session;
    this.#onPending = onPending;
    this.#onError = onError;
    this.#onLoginRequired = onLoginRequired;
    // No submit button: Enter in the field would press the first of them.
    byId("stop-cancel").addEventListener("click", () => this.#stopDialog.close("cancel"));
    this.#percentage.addEventListener("input", () => this.#showStop());
  }

  /** Close the dialogs, unconfirmed. */
  cancel() {
    for (const dialog of [this.#closeDialog, this.#stopDialog]) dialog.close("cancel");
  }

  /**
   * The position has changed, or is closed: its pending action is done if this confirms it.
   *
   * @param {ChosenAgent} agent
   * @param {string} id
   */
  confirm(agent, id) {
    const pending = agent.pending.get(id);
    if (!pending) return;
    const position = agent.store.get(id);
    if (!position || same(pending.stopLoss, position.currentStopLossPercentage)) this.#settle(agent, id);
  }

  /**
   * @param {ChosenAgent} agent
   * @param {string} id
   */
  async close(agent, id) {
    const position = agent.store.get(id);
    if (!position) return;
    const { tokenSymbol: symbol } = position;
    write("close-title", `Close ${symbol}?`);
    write("close-text", closingText(position));
    if ((await ask(this.#closeDialog)) !== "confirm") return;
    /** @param {string} key */
    const request = (key) => api.closePosition(this.#session, id, key);
    await this.#do(agent, id, { text: "Closing…" }, request, `${symbol} was not closed`);
  }

  /**
   * @param {ChosenAgent} agent
   * @param {string} id
   */
  async moveStopLoss(agent, id) {
    const position = agent.store.get(id);
    if (!position) return;
    this.#asked = position;
    write("stop-title", `Stop loss of ${position.tokenSymbol}`);
    this.#percentage.value = position.currentStopLossPercentage ?? "";
    this.#showStop();
    if ((await ask(this.#stopDialog)) !== "confirm") return;
    const { digits } = readPercentage(this.#percentage.value);
    if (digits === undefined) return;
    const pending = { text: "Moving stop loss…", stopLoss: digits };
    /** @param {string} key */
    const request = (key) => api.moveStopLoss(this.#session, id, digits, key);
    await this.#do(agent, id, pending, request, `The stop loss of ${position.tokenSymbol} was not moved`);
  }

  /**
   * @param {ChosenAgent} agent
   * @param {string} id
   * @param {PendingAction} pending
   * @param {(key: string) => Promise<unknown>} request
   * @param {string} failure
   */
  async #do(agent, id, pending, request, failure) {
    if (agent.pending.has(id)) return;
    agent.pending.set(id, pending);
    this.#onPending(id);
    const settle = () => agent.pending.get(id) === pending && this.#settle(agent, id);
    try {
      await request(newKey());
      // The event is on its way, or was here before the answer.
      if (!agent.signal.aborted) agent.timers.set(id, CONFIRMED_WITHIN_MS, settle);
    } catch (error) {
      settle();
      if (error instanceof LoginRequired) this.#onLoginRequired();
      else if (!isAborted(error)) this.#onError(explain(failure, error));
    }
  }

  /**
   * @param {ChosenAgent} agent
   * @param {string} id
   */
  #settle(agent, id) {
    agent.timers.cancel(id);
    agent.pending.delete(id);
    this.#onPending(id);
  }

  #showStop() {
    const { digits, problem } = readPercentage(this.#percentage.value);
    this.#confirmStop.disabled = problem !== undefined;
    byId("stop-error").hidden = !problem;
    write("stop-error", problem ?? "");
    write("stop-text", digits === undefined || !this.#asked ? "" : consequence(this.#asked, digits));
  }
}

/** @param {Wire.LivePosition} position */
function closingText({ tokenSymbol, remainingAmount, priceSource, currentPrice, ...figures }) {
  const all = `This sells all ${format.amount(remainingAmount)} ${tokenSymbol} at`;
  if (priceSource !== "live") {
    return `${all} the market price, which is unknown here. If the server does not know it either, nothing is sold.`;
  }
  const price = `about ${format.price(currentPrice)} SOL each, for about ${format.sol(figures.positionValueSol)} SOL`;
  const percent = format.percent(figures.profitLossPercent, format.signed);
  const result = `${format.sol(figures.profitLossSol, format.signed)} SOL (${percent})`;
  return `${all} ${price}. The result of the position is then ${result}.`;
}

/**
 * What a stop loss at this percentage would do.
 *
 * @param {Wire.LivePosition} position
 * @param {Wire.Digits} digits
 */
function consequence({ purchasePrice, currentPrice, priceSource }, digits) {
  const stop = stopLossPrice(purchasePrice, digits);
  const at = `The agent sells when the price falls to ${format.price(stop)} SOL`;
  const price = Decimal.of(currentPrice);
  if (stop === null || priceSource !== "live" || price.sign === 0) return `${at}. The current price is unknown.`;
  const distance = price.minus(Decimal.of(stop)).over(price, 20).times(HUNDRED).rounded(2);
  if (distance.sign > 0) return `${at}, ${format.percent(String(distance))} below the current price.`;
  return `${at}. The price is ${format.price(currentPrice)} SOL, already at or below that: it may sell at once.`;
}

/**
 * Returns `{digits}`, or `{problem}`; the latter "" while nothing is typed.
 *
 * @param {string} text
 * @returns {{digits: Wire.Digits, problem?: undefined} | {digits?: undefined, problem: string}}
 */
export function readPercentage(text) {
  const digits = text.trim().replace("−", "-").replace(",", ".").replace(/%$/, "").trim();
  if (digits === "" || digits === "-") return { problem: "" };
  if (!/^[+-]?\d{1,6}(\.\d+)?$/.test(digits)) return { problem: "Enter a number, such as -20 or 5.5." };
  const number = Decimal.of(digits);
  if (number.rounded(4).compare(number) !== 0) return { problem: "Enter at most 4 decimals." };
  if (number.compare(LOWEST) < 0 || number.compare(LIMIT) >= 0) {
    return { problem: "Enter a number from -100 to less than 100000." };
  }
  return { digits: number.toString() };
}

/**
 * Returns the value of the button that closed the dialog.
 *
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<string>}
 */
function ask(dialog) {
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue), { once: true });
  });
}

/** Names one action of the user. (Not randomUUID, which a page has over HTTPS and from this machine only.) */
const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");

/**
 * @param {Wire.Digits | undefined} requested
 * @param {Wire.Digits | null} actual
 */
const same = (requested, actual) =>
  requested !== undefined && actual !== null && Decimal.of(requested).compare(Decimal.of(actual)) === 0;

/**
 * @param {string} failure
 * @param {unknown} error
 */
function explain(failure, error) {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof RequestFailed) || error.status !== 0) return `${failure}: ${message}`;
  return `${failure}, or the outcome is unknown: ${message} The table shows the actual state once it is live again.`;
}
