/**
 * What the user does to a position: sell a part or all of it, move or remove its stop loss. Confirmed first, shown as
 * pending at once, and reverted with the reason where the server refuses. The actual state comes over the socket.
 *
 * @import { ChosenAgent, PendingAction } from "./agent.js"
 * @import { Note } from "./price-status.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { sameStop } from "./dialogs.js";
import * as format from "./format.js";
import { LoginRequired } from "./nexgent.js";
import { SellDialog } from "./sell-dialog.js";
import { isAborted, RequestFailed } from "./session.js";
import { StopDialog } from "./stop-dialog.js";

const CONFIRMED_WITHIN_MS = 10_000;

export class Actions {
  #sellDialog;
  #stopDialog;
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
   * @param {(text: string) => void} options.onCopy
   * @param {(position: Wire.LivePosition) => Note} options.noteOf how reliable its price is
   * @param {() => number} options.now milliseconds of the epoch
   */
  constructor({ session, onPending, onError, onLoginRequired, ...asking }) {
    this.#session = session;
    this.#onPending = onPending;
    this.#onError = onError;
    this.#onLoginRequired = onLoginRequired;
    this.#sellDialog = new SellDialog(asking);
    this.#stopDialog = new StopDialog(asking);
  }

  /** Close the dialogs, unconfirmed. */
  cancel() {
    this.#sellDialog.cancel();
    this.#stopDialog.cancel();
  }

  /** Write what the open dialog says, of the position and its price as they are now. */
  render() {
    this.#sellDialog.render();
    this.#stopDialog.render();
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
    // A sale changes the holding; what else may have changed it is as good a reason to show it as it is.
    const { stopLoss } = pending;
    const isDone = stopLoss === undefined || sameStop(stopLoss, position?.currentStopLossPercentage ?? null);
    if (!position || isDone) this.#settle(agent, id);
  }

  /**
   * @param {ChosenAgent} agent
   * @param {string} id
   * @param {"50" | "100"} share in percent: what is offered at first
   */
  async sell(agent, id, share) {
    const position = agent.store.get(id);
    if (!position) return;
    const sale = await this.#sellDialog.answer(agent, position, share);
    if (!sale) return;
    const symbol = format.symbol(position.tokenSymbol);
    const planned = typeof agent.store.get(id)?.totalTakeProfitLevels === "number";
    /** @param {string} key */
    const request = (key) => api.sell(this.#session, id, { ...sale, planned }, key);
    const [text, failure] = sale.all ? ["Closing…", "closed"] : ["Selling…", "sold"];
    const done = await this.#do(agent, id, { text }, request, `${symbol} was not ${failure}`);
    if (!done) this.#sellDialog.keep();
  }

  /**
   * @param {ChosenAgent} agent
   * @param {string} id
   */
  async moveStopLoss(agent, id) {
    const position = agent.store.get(id);
    if (!position) return;
    const move = await this.#stopDialog.answer(agent, position);
    if (!move) return;
    const { percentage: digits } = move;
    const [text, failure] = digits === null ? ["Removing stop loss…", "removed"] : ["Moving stop loss…", "moved"];
    /** @param {string} key */
    const request = (key) => api.moveStopLoss(this.#session, id, move, key);
    const symbol = format.symbol(position.tokenSymbol);
    const complaint = `The stop loss of ${symbol} was not ${failure}`;
    const done = await this.#do(agent, id, { text, stopLoss: digits }, request, complaint);
    if (!done) this.#stopDialog.keep();
  }

  /**
   * Returns whether the server has done it.
   *
   * @param {ChosenAgent} agent
   * @param {string} id
   * @param {PendingAction} pending
   * @param {(key: string) => Promise<unknown>} request
   * @param {string} failure
   */
  async #do(agent, id, pending, request, failure) {
    if (agent.pending.has(id)) return false;
    agent.pending.set(id, pending);
    this.#onPending(id);
    const settle = () => agent.pending.get(id) === pending && this.#settle(agent, id);
    try {
      await request(newKey());
      // The event is on its way, or was here before the answer.
      if (!agent.signal.aborted) agent.timers.set(id, CONFIRMED_WITHIN_MS, settle);
      return true;
    } catch (error) {
      settle();
      if (error instanceof LoginRequired) this.#onLoginRequired();
      else if (!isAborted(error)) this.#onError(explain(failure, error));
      return false;
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
}

/** Names one action of the user. (Not randomUUID, which a page has over HTTPS and from this machine only.) */
const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");

/**
 * @param {string} failure
 * @param {unknown} error
 */
function explain(failure, error) {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof RequestFailed) || error.status !== 0) return `${failure}: ${message}`;
  return `${failure}, or the outcome is unknown: ${message} The table shows the actual state once it is live again.`;
}
