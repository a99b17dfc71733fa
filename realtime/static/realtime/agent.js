/**
 * The agent that the page shows, with everything that the page knows of it. A new one is made for each choice, so that
 * nothing of one agent is left for the next; `end` stops what was still awaited for it.
 *
 * @import { Series } from "./series.js"
 */

import { Feed } from "./feed.js";
import { Results } from "./results.js";
import { Store } from "./store.js";
import { Timers } from "./timers.js";

const CLOSED_AT_FIRST = 8;

/**
 * What the user has requested and no event has confirmed yet.
 *
 * @typedef {{text: string, stopLoss?: Wire.Digits | null}} PendingAction
 */

export class ChosenAgent {
  #ended = new AbortController();

  store = new Store();
  feed = new Feed();
  /** @type {Map<Wire.Mode | null, Series>} the profit in SOL, by the kind of money */
  profits = new Map();
  results = new Results();
  /** @type {Map<string, PendingAction>} by position id */
  pending = new Map();
  /** One for each pending action that the server has accepted, by position id. */
  timers = new Timers();
  /** How many closed positions are listed. */
  closedLimit = CLOSED_AT_FIRST;

  /** @type {Map<string, Wire.Mode> | null} by address of the wallet; null while unknown */
  wallets = null;

  /**
   * @param {string} id
   * @param {string} name
   * @param {Wire.Mode} tradingMode
   */
  constructor(id, name, tradingMode) {
    this.id = id;
    this.name = name;
    this.tradingMode = tradingMode;
  }

  /**
   * Whether the money in this wallet is live or simulated; null while that is unknown.
   *
   * @param {string} walletAddress
   * @returns {Wire.Mode | null}
   */
  modeOf(walletAddress) {
    return this.wallets?.get(walletAddress) ?? null;
  }

  /** Whether the kind of money is known of all wallets that hold something. */
  get knowsWallets() {
    const { wallets } = this;
    return wallets !== null && [...this.store.wallets()].every((address) => wallets.has(address));
  }

  /**
   * The kinds of money that the agent has, or has traded with; null stands for one that is not known yet.
   *
   * @returns {(Wire.Mode | null)[]}
   */
  get modes() {
    const held = [...this.store.wallets()];
    if (!this.knowsWallets) return held.length > 1 ? [] : [null];
    const modes = new Set([...held.map((address) => this.modeOf(address)), ...this.results.modes]);
    return /** @type {Wire.Mode[]} */ (["live", "simulation"]).filter((mode) => modes.has(mode));
  }

  /** Aborted when another agent is shown. */
  get signal() {
    return this.#ended.signal;
  }

  end() {
    this.#ended.abort();
    this.timers.cancelAll();
  }
}
