/**
 * The agent that the page shows, with everything that the page knows of it. A new one is made for each choice, so that
 * nothing of one agent is left for the next; `end` stops what was still awaited for it.
 */

import { Feed } from "./feed.js";
import { Series } from "./series.js";
import { Store } from "./store.js";
import { Timers } from "./timers.js";

const CLOSED_AT_FIRST = 8;

/**
 * What the user has requested and no event has confirmed yet.
 *
 * @typedef {{text: string, stopLoss?: Wire.Digits}} PendingAction
 */

export class ChosenAgent {
  #ended = new AbortController();

  store = new Store();
  feed = new Feed();
  /** The total value in SOL. */
  portfolio = new Series();
  /** @type {Wire.ResultsOnRest | null} null while unknown */
  results = null;
  /** @type {Map<string, PendingAction>} by position id */
  pending = new Map();
  /** One for each pending action that the server has accepted, by position id. */
  timers = new Timers();
  /** How many closed positions are listed. */
  closedLimit = CLOSED_AT_FIRST;

  /**
   * @param {string} id
   * @param {string} name
   */
  constructor(id, name) {
    this.id = id;
    this.name = name;
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
