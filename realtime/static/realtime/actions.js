/**
 * What the user does to a position: close it, move its stop loss. Confirmed first, shown as pending at once, and
 * reverted with the reason where the server refuses. The actual state comes over the socket.
 *
 * @import { ChosenAgent, PendingAction } from "./agent.js"
 * @import { Note } from "./price-status.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { Decimal } from "./decimal.js";
import { closingText, consequence, proceedsHint, readPercentage, readProceeds } from "./dialogs.js";
import { byId, write } from "./dom.js";
import * as format from "./format.js";
import { LoginRequired } from "./nexgent.js";
import { isAborted, RequestFailed } from "./session.js";

const CONFIRMED_WITHIN_MS = 10_000;

export class Actions {
  #closeDialog = byId("close-dialog", HTMLDialogElement);
  #proceeds = byId("close-proceeds", HTMLInputElement);
  #confirmClose = byId("close-confirm", HTMLButtonElement);
  #stopDialog = byId("stop-dialog", HTMLDialogElement);
  #percentage = byId("stop-percentage", HTMLInputElement);
  #confirmStop = byId("stop-confirm", HTMLButtonElement);
  /** Writes what the open dialog says; nothing while none is open. */
  #show = () => {};
  #session;
  #onPending;
  #onError;
  #onLoginRequired;
  #noteOf;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {(id: string) => void} options.onPending is called with a position whose pending action is new or done.
   * @param {(text: string) => void} options.onError
   * @param {() => void} options.onLoginRequired
   * @param {(position: Wire.LivePosition) => Note} options.noteOf how reliable its price is
   */
  constructor({ session, onPending, onError, onLoginRequired, noteOf }) {
    this.#session = session;
    this.#onPending = onPending;
    this.#onError = onError;
    this.#onLoginRequired = onLoginRequired;
    this.#noteOf = noteOf;
    // No submit buttons: Enter in the field would press the first of them.
    byId("close-cancel").addEventListener("click", () => this.#closeDialog.close("cancel"));
    byId("stop-cancel").addEventListener("click", () => this.#stopDialog.close("cancel"));
    this.#proceeds.addEventListener("input", () => this.render());
    this.#percentage.addEventListener("input", () => this.render());
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
    const symbol = format.symbol(position.tokenSymbol);
    write("close-title", `Close ${symbol}?`);
    this.#proceeds.value = "";
    if (!(await this.#ask(this.#closeDialog, agent, position, (now) => this.#showClose(now)))) return;
    const { digits } = readProceeds(this.#proceeds.value);
    /** @param {string} key */
    const request = (key) => api.closePosition(this.#session, id, digits, key);
    await this.#do(agent, id, { text: "Closing…" }, request, `${symbol} was not closed`);
  }

  /**
   * @param {ChosenAgent} agent
   * @param {string} id
   */
  async moveStopLoss(agent, id) {
    const position = agent.store.get(id);
    if (!position) return;
    const symbol = format.symbol(position.tokenSymbol);
    write("stop-title", `Stop loss of ${symbol}`);
    this.#percentage.value = position.currentStopLossPercentage ?? "";
    if (!(await this.#ask(this.#stopDialog, agent, position, (now) => this.#showStop(now)))) return;
    const { digits } = readPercentage(this.#percentage.value);
    if (digits === undefined) return;
    const pending = { text: "Moving stop loss…", stopLoss: digits };
    /** @param {string} key */
    const request = (key) => api.moveStopLoss(this.#session, id, digits, key);
    await this.#do(agent, id, pending, request, `The stop loss of ${symbol} was not moved`);
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

  /** Write what the open dialog says, at the newest price. */
  render() {
    this.#show();
  }

  /**
   * Show the dialog until it is answered; returns whether it is confirmed.
   *
   * @param {HTMLDialogElement} dialog
   * @param {ChosenAgent} agent
   * @param {Wire.LivePosition} asked
   * @param {(position: Wire.LivePosition) => void} show writes what the dialog says of the position, as it is now.
   */
  async #ask(dialog, agent, asked, show) {
    // One that is closed meanwhile stays as it was: the server says so.
    this.#show = () => show((asked = agent.store.get(asked.id) ?? asked));
    this.#show();
    dialog.returnValue = "cancel";
    dialog.showModal();
    await new Promise((answer) => {
      dialog.addEventListener("close", answer, { once: true });
    });
    this.#show = () => {};
    return dialog.returnValue === "confirm";
  }

  /** @param {Wire.LivePosition} position */
  #showClose(position) {
    const note = this.#noteOf(position);
    const { digits, problem } = readProceeds(this.#proceeds.value);
    const isNeeded = note.status !== "live" && digits === undefined;
    this.#confirmClose.disabled = Boolean(problem) || isNeeded;
    this.#proceeds.required = note.status !== "live";
    write("close-text", closingText(position, note, digits));
    write("close-hint", proceedsHint(note));
    this.#complain("close-error", problem);
  }

  /** @param {Wire.LivePosition} position */
  #showStop(position) {
    const { digits, problem } = readPercentage(this.#percentage.value);
    this.#confirmStop.disabled = problem !== undefined;
    write("stop-text", digits === undefined ? "" : consequence(position, this.#noteOf(position), digits));
    this.#complain("stop-error", problem);
  }

  /**
   * @param {string} id of the element that says what is wrong with the input
   * @param {string | undefined} problem
   */
  #complain(id, problem = "") {
    byId(id).hidden = problem === "";
    write(id, problem);
  }
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
