/**
 * What an agent holds, live, for a view that draws it: positions valued at the newest price by the code of the server's
 * own page (store.js).
 *
 * Prices and events are queued: a view is notified at most once in an animation frame, whatever has come by then. Each
 * `getSnapshot` answers the same object until then, and a position that has not changed is the same object as before.
 */

import { Store } from "../../../realtime/static/realtime/store.js";
import { Nexgent } from "./client.js";

const STALE_AFTER_MS = 60_000;
const LONGEST_FRAME_MS = 250; // a window that is hidden has none

/**
 * - `agentId`: whose positions these are.
 * - `positions`: in the server's order; money as strings of digits.
 * - `isConnected`: whether they are up to date, and change as it happens.
 * - `state`: of the connection, as nexgent.js describes it: what it waits for, why it has ended.
 *
 * @typedef {object} Shown
 * @property {string | null} agentId
 * @property {readonly Wire.LivePosition[]} positions
 * @property {boolean} isConnected
 * @property {Client.State} state
 */

/** @type {Shown} */
export const NOTHING = Object.freeze({
  agentId: null,
  positions: Object.freeze([]),
  isConnected: false,
  state: Object.freeze({ name: "idle" }),
});

export class LivePositions {
  #nexgent;
  #store = new Store();
  #shown = NOTHING;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} of a connection that is not live */
  #silence;
  /** @type {(() => void) | null} cancels the notification to come */
  #cancelFrame = null;
  #followers = 0; // counts up with each `follow`

  /** @param {import("./client.js").Options} options */
  constructor(options) {
    this.#nexgent = new Nexgent(options);
    this.#nexgent.addEventListener("snapshot", ({ detail }) => this.#apply(() => this.#store.replace(detail)));
    this.#nexgent.addEventListener("event", ({ detail }) => this.#apply(() => this.#store.change(detail)));
    this.#nexgent.addEventListener("prices", ({ detail }) => this.#apply(() => this.#store.reprice(detail)));
    this.#nexgent.addEventListener("state", ({ detail }) => this.#enter(detail));
  }

  /** The connection. */
  get nexgent() {
    return this.#nexgent;
  }

  /**
   * Call `listener` when `getSnapshot` answers something new; returns a function that ends this.
   *
   * @param {() => void} listener
   */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };

  getSnapshot = () => this.#shown;

  /**
   * Show this agent; also takes it back from a newer owner. Throws as `Nexgent.connect` does.
   *
   * @param {string} agentId
   */
  connect(agentId) {
    const before = /** @type {const} */ ([this.#store, this.#shown]);
    if (agentId !== this.#shown.agentId) [this.#store, this.#shown] = [new Store(), { ...NOTHING, agentId }];
    try {
      this.#nexgent.connect(agentId);
    } catch (error) {
      [this.#store, this.#shown] = before;
      throw error;
    }
  }

  /** Close, and stay closed. The positions stay as they are, and are stale after a minute. */
  disconnect() {
    this.#nexgent.close();
  }

  /**
   * Show this agent until the function that it returns is called, as an effect of React does. Where another `follow`
   * comes in the same breath, the connection stays, and moves to that agent.
   *
   * @param {string} agentId
   */
  follow(agentId) {
    this.#followers += 1;
    const hasEnded = ["idle", "logged-out"].includes(this.#nexgent.state.name);
    if (hasEnded || agentId !== this.#shown.agentId) this.connect(agentId);
    return () => {
      const left = this.#followers;
      queueMicrotask(() => {
        if (left !== this.#followers) return;
        this.disconnect();
        this.#endSilence();
      });
    };
  }

  /** @param {() => void} change */
  #apply(change) {
    change();
    if (this.#cancelFrame) return;
    const draw = () => {
      this.#cancelFrame?.();
      this.#show();
    };
    const frame = globalThis.requestAnimationFrame?.(draw);
    const timer = setTimeout(draw, frame === undefined ? 0 : LONGEST_FRAME_MS);
    this.#cancelFrame = () => {
      this.#cancelFrame = null;
      clearTimeout(timer);
      if (frame !== undefined) cancelAnimationFrame(frame);
    };
  }

  /** @param {Client.State} state */
  #enter(state) {
    if (state.name === "live") this.#endSilence();
    else if (this.#store.loaded && this.#silence === undefined) this.#beginSilence();
    this.#cancelFrame?.();
    this.#show(state);
  }

  /** Prices that nothing has confirmed for a minute are not live. */
  #beginSilence() {
    const silentFor = performance.now() - this.#nexgent.lastMessageAt;
    const since = new Date(this.#nexgent.serverNow - silentFor).toISOString();
    const lose = () => this.#apply(() => this.#store.lose(since));
    this.#silence = setTimeout(lose, Math.max(0, STALE_AFTER_MS - silentFor));
    // In node, where it is an object, it keeps no program alive that has disconnected.
    /** @type {{unref?: () => void}} */ (/** @type {unknown} */ (this.#silence)).unref?.();
  }

  #endSilence() {
    clearTimeout(this.#silence);
    this.#silence = undefined;
  }

  #show(state = this.#shown.state) {
    const { agentId, positions } = this.#shown;
    this.#shown = {
      agentId,
      positions: this.#store.takeChanges().size > 0 ? [...this.#store.positions()] : positions,
      isConnected: state.name === "live",
      state,
    };
    for (const listener of [...this.#listeners]) listener();
  }
}
