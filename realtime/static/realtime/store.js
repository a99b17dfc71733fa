/**
 * What the agent holds, by the messages so far: state before + events = a fresh `initial_data`.
 */

import { value } from "./accounting.js";

export class Store {
  #positions = new Map(); // id → position, in the server's order
  #changed = new Set();
  #seq = null;

  /** When the newest message was sent, as the server wrote it; null before the first. */
  updatedAt = null;

  get loaded() {
    return this.#seq !== null;
  }

  get positions() {
    return this.#positions.values();
  }

  get size() {
    return this.#positions.size;
  }

  /** Forget everything: another agent. */
  clear() {
    this.#positions.clear();
    this.#changed.clear();
    this.#seq = this.updatedAt = null;
  }

  /** The ids of positions that came, changed or went since the last call. */
  takeChanges() {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  get(id) {
    return this.#positions.get(id);
  }

  /**
   * Take in one message; unknown types are ignored.
   *
   * @returns false where an event before this one is missing: the message is not applied, and only a fresh
   *   `initial_data` helps.
   */
  apply({ type, data }) {
    if (type === "initial_data") this.#replace(data);
    else if (type === "position_update") return this.#event(data);
    else if (type === "price_update_batch") this.#prices(data);
    return true;
  }

  #replace({ positions, seq, timestamp }) {
    for (const id of this.#positions.keys()) this.#changed.add(id);
    this.#positions.clear();
    for (const position of positions) this.#put(position);
    this.#seq = seq;
    this.updatedAt = timestamp;
  }

  #event({ position, positionId, seq, timestamp }) {
    if (!this.loaded) return true; // `initial_data` holds it already
    if (seq <= this.#seq) return true;
    if (seq > this.#seq + 1) return false;
    this.#seq = seq;
    this.updatedAt = timestamp;
    if (position) {
      this.#put(position);
    } else {
      this.#positions.delete(positionId);
      this.#changed.add(positionId);
    }
    return true;
  }

  #prices({ updates, timestamp }) {
    const prices = new Map(updates.map((update) => [update.tokenAddress, update]));
    for (const position of this.#positions.values()) {
      const update = prices.get(position.tokenAddress);
      if (!update) continue;
      this.#put({
        ...position,
        ...value(position, update.price, update.priceUsd ?? null),
        currentPrice: update.price,
        currentPriceUsd: update.priceUsd ?? null,
        priceSource: "live",
        priceTimestamp: timestamp,
      });
    }
    this.updatedAt = timestamp;
  }

  #put(position) {
    this.#positions.set(position.id, position);
    this.#changed.add(position.id);
  }
}
