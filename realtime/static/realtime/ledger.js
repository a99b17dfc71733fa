/**
 * Reads an agent's results and the kinds of its wallets: at first, after each position that was opened or closed, after
 * midnight (UTC), and once a minute. What fails is tried again.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { backoff } from "./close-codes.js";
import { isAborted } from "./session.js";
import { Timers } from "./timers.js";

const GATHER_MS = 150; // several positions at once are one request
const EVERY_MS = 60_000;
const DAY_MS = 86_400_000;
const AFTER_MIDNIGHT_MS = 3_000; // and up to twice that: the feed's first prices of the day, and not all pages at once

export class Ledger {
  #session;
  #now;
  #onNew;
  #onFailed;
  #timers = new Timers(); // read, midnight
  /** @type {ChosenAgent | null} */
  #agent = null;
  #failures = 0; // in a row
  #reading = false;
  #again = false;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {() => number} options.now milliseconds of the epoch, by the server's clock
   * @param {() => void} options.onNew is called when there is something new.
   * @param {(error: unknown) => void} options.onFailed is called with the error of a failed request.
   */
  constructor({ session, now, onNew, onFailed }) {
    this.#session = session;
    this.#now = now;
    this.#onNew = onNew;
    this.#onFailed = onFailed;
  }

  /** @param {ChosenAgent | null} agent */
  show(agent) {
    this.#timers.cancelAll();
    this.#agent = agent;
    this.#failures = 0;
    this.#reading = this.#again = false;
  }

  /** The positions have changed: what goes with them is read soon, once for all that change now. */
  refresh() {
    if (this.#reading) this.#again = true;
    else if (!this.#timers.has("soon")) this.#timers.set("soon", this.#failures ? 0 : GATHER_MS, () => this.#read());
  }

  /** Read at once: there is a new snapshot. */
  load() {
    this.#waitForMidnight();
    if (this.#reading) this.#again = true;
    else this.#read();
  }

  async #read() {
    const agent = this.#agent;
    if (!agent) return;
    this.#timers.cancel("soon");
    this.#timers.cancel("later");
    [this.#reading, this.#again] = [true, false];
    let wait = EVERY_MS;
    try {
      // The wallets first: without them, money of both kinds would be in one sum.
      if (!agent.knowsWallets) agent.wallets = await api.walletModes(this.#session, agent.id, agent.signal);
      agent.results.take(await api.results(this.#session, agent.id, agent.signal));
      this.#failures = 0;
      this.#onNew();
    } catch (error) {
      if (isAborted(error)) return;
      this.#onFailed(error);
      wait = backoff(this.#failures, 1000);
      this.#failures += 1;
    }
    if (agent !== this.#agent) return;
    this.#reading = false;
    if (this.#again && !this.#failures) this.refresh();
    else this.#timers.set("later", wait, () => this.#read());
  }

  #waitForMidnight() {
    const left = DAY_MS - (this.#now() % DAY_MS);
    this.#timers.set("midnight", left + AFTER_MIDNIGHT_MS * (1 + Math.random()), () => {
      this.refresh();
      this.#waitForMidnight();
    });
  }
}
