/**
 * What the agent holds, by the messages so far: state before + events = a fresh snapshot.
 *
 * A tick marks what it changes; a position is valued when it is read, so once a frame, however many ticks there were.
 *
 * @import { Reserves } from "./entry.js"
 */

import { Decimal } from "./decimal.js";
import { Entry } from "./entry.js";
import { exitTotals, totals } from "./sums.js";

export class Store {
  /** @type {Map<string, Entry>} by id, in the server's order */
  #entries = new Map();
  /** @type {Map<string, Set<string>>} ids by token address */
  #byToken = new Map();
  /** @type {Map<string, Reserves>} by token address, as far as the server has sent them */
  #reserves = new Map();
  /** @type {Map<string, number>} by the wallet's address: how many positions it holds */
  #byWallet = new Map();
  /** @type {Set<string>} */
  #changed = new Set();

  /** Whether there has been a snapshot. */
  loaded = false;
  /** The number of the last event that is in it. */
  seq = 0;
  /** The number of the last event by which positions were added or removed, or one that is closed was changed. */
  membersSeq = 0;
  /** @type {Wire.Timestamp | null} when the newest message was sent; null before the first */
  updatedAt = null;

  /** The positions, valued, in the server's order. */
  *positions() {
    for (const entry of this.#entries.values()) yield entry.full;
  }

  /** The same, not valued: for what no price changes. */
  *unvalued() {
    for (const entry of this.#entries.values()) yield entry.sent;
  }

  get size() {
    return this.#entries.size;
  }

  /**
   * The position, valued; undefined where it is not open.
   *
   * @param {string} id
   */
  get(id) {
    return this.#entries.get(id)?.full;
  }

  /**
   * Whether the position is open; it is not valued for that.
   *
   * @param {string} id
   */
  has(id) {
    return this.#entries.has(id);
  }

  /** @param {string} token address */
  holds(token) {
    return this.#byToken.has(token);
  }

  /** The addresses of the wallets that hold something. */
  wallets() {
    return new Set(this.#byWallet.keys());
  }

  /**
   * The totals of the positions in these wallets: live and simulated money have no sum.
   *
   * @param {(walletAddress: string) => boolean} [counts]
   */
  totals(counts = () => true) {
    return totals(this.#of(counts));
  }

  /** @param {(walletAddress: string) => boolean} [counts] */
  exitTotals(counts = () => true) {
    return exitTotals(this.#of(counts));
  }

  /**
   * How reliable the price of each position is.
   *
   * @param {(walletAddress: string) => boolean} [counts]
   */
  statuses(counts = () => true) {
    return this.#of(counts).map(({ status }) => status);
  }

  /** @param {(walletAddress: string) => boolean} counts */
  #of(counts) {
    return [...this.#entries.values()].filter(({ walletAddress }) => counts(walletAddress));
  }

  /**
   * Since when the position's price has its status; null where it had it from the start.
   *
   * @param {string} id
   */
  since(id) {
    return this.#entries.get(id)?.since ?? null;
  }

  /** The ids of positions that were added, changed or removed since the last call. */
  takeChanges() {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /**
   * Apply a snapshot.
   *
   * @param {Wire.InitialDataData} data
   */
  replace({ positions, timestamp, seq }) {
    this.seq = this.membersSeq = seq;
    for (const id of [...this.#entries.keys()]) this.#remove(id); // with what was known of their pools
    for (const position of positions) this.#put(position);
    this.updatedAt = timestamp;
    this.loaded = true;
  }

  /**
   * Apply an event; returns the position before it, undefined where it is new.
   *
   * @param {Wire.PositionUpdateData} event
   */
  change(event) {
    const before = this.get(idOf(event));
    this.seq = event.seq;
    if (!before || !event.position) this.membersSeq = event.seq;
    if (event.position) this.#put(event.position);
    else this.#remove(event.positionId);
    this.updatedAt = event.timestamp;
    return before;
  }

  /**
   * Apply new prices; returns those that are live.
   *
   * @param {Wire.PriceUpdateBatchData} data
   */
  reprice({ updates, timestamp }) {
    const live = [];
    for (const update of updates) {
      const { tokenAddress, poolTokens, poolSol } = update;
      const ids = this.#byToken.get(tokenAddress);
      if (!ids) continue;
      if (poolTokens !== undefined && poolSol !== undefined) {
        this.#reserves.set(tokenAddress, { poolTokens: decimalOf(poolTokens), poolSol: decimalOf(poolSol) });
      }
      const reserves = this.#reserves.get(tokenAddress) ?? null;
      let isGood = false;
      for (const id of ids) {
        const entry = this.#entries.get(id);
        entry?.reprice(update, timestamp, reserves);
        isGood ||= entry?.status === "live";
        this.#changed.add(id);
      }
      if (isGood) live.push(update);
    }
    this.updatedAt = timestamp;
    return live;
  }

  /**
   * No message has come for too long: prices that were live are stale.
   *
   * @param {Wire.Timestamp} since
   */
  lose(since) {
    for (const [id, entry] of this.#entries) {
      if (entry.status !== "live") continue;
      entry.lose(since);
      this.#changed.add(id);
    }
  }

  /** @param {Wire.LivePosition} position */
  #put(position) {
    const { id, tokenAddress, walletAddress } = position;
    const entry = new Entry(position);
    const before = this.#entries.get(id);
    if (before) this.#leave(before);
    if (before && before.tokenAddress !== tokenAddress) this.#release(id, before.tokenAddress); // it has migrated
    if (before?.status === entry.status) entry.since = before.since;
    this.#entries.set(id, entry);
    const ids = this.#byToken.get(tokenAddress);
    if (ids) ids.add(id);
    else this.#byToken.set(tokenAddress, new Set([id]));
    this.#byWallet.set(walletAddress, (this.#byWallet.get(walletAddress) ?? 0) + 1);
    this.#changed.add(id);
  }

  /** @param {string} id */
  #remove(id) {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#leave(entry);
    this.#release(id, entry.tokenAddress);
    this.#entries.delete(id);
    this.#changed.add(id);
  }

  /** @param {Entry} entry that its wallet holds no more, or not as it was */
  #leave({ walletAddress }) {
    const count = this.#byWallet.get(walletAddress) ?? 0;
    if (count > 1) this.#byWallet.set(walletAddress, count - 1);
    else this.#byWallet.delete(walletAddress);
  }

  /**
   * Take no more prices of this token for the position.
   *
   * @param {string} id
   * @param {string} tokenAddress
   */
  #release(id, tokenAddress) {
    const ids = this.#byToken.get(tokenAddress);
    ids?.delete(id);
    if (ids?.size === 0) {
      this.#byToken.delete(tokenAddress);
      this.#reserves.delete(tokenAddress);
    }
  }
}

/** @param {Wire.Digits | null} digits */
const decimalOf = (digits) => (digits === null ? null : Decimal.of(digits));

/**
 * The id of the position that an event is about.
 *
 * @param {Wire.PositionUpdateData | Wire.EventOnRest} event
 */
export const idOf = (event) => (event.position ? event.position.id : event.positionId);
