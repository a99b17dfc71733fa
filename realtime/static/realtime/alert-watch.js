/**
 * Finds in one agent's messages what its user may want to be told of. No DOM, no I/O, no timers, which browsers hold
 * back in a window that is hidden: a message is what wakes it.
 *
 * What the first snapshot says is how things are, and no news. Later ones follow a break: what they no longer have was
 * closed meanwhile. So each close is told once, whether as an event, after a reconnect, or over another connection.
 *
 * @import { AlertSettings, Kind } from "./alert-settings.js"
 */

import { stopLossPrice } from "./accounting.js";
import { idOf } from "./store.js";
import { statusAfter, statusOf } from "./price-status.js";

// A stop loss counts as near again only after the price was this much farther away than where it begins to be near.
const FARTHER = 1.25;
// A price that comes and goes is told once.
const QUIET_MS = 60_000;
const LOST_AFTER_MS = 10_000; // a server that restarts is back by then

/**
 * What there is to say of a position, or of a price. `symbol` is "" for the connection.
 *
 * @typedef {{symbol: string, positionId: string | null, detail: string}} Item
 * @typedef {{kind: Kind, items: Item[]}} News
 */

/** What is known of a position. */
class Held {
  id = "";
  symbol = "";
  token = "";
  /** @type {number | null} */
  stop = null;
  /** @type {Wire.PriceStatus} */
  status = "none";
  price = 0;
  armed = true; // whether its stop loss may be told to be near
  quietUntil = 0; // milliseconds of the epoch; until then it is not told that its price is not live

  /** @param {Wire.LivePosition} position */
  constructor(position) {
    this.take(position);
  }

  /** @param {Wire.LivePosition} position */
  take(position) {
    const { id, tokenSymbol, tokenAddress, purchasePrice, currentStopLossPercentage, currentPrice } = position;
    this.id = id;
    this.symbol = tokenSymbol;
    this.token = tokenAddress;
    const stop = stopLossPrice(purchasePrice, currentStopLossPercentage);
    this.stop = stop === null ? null : Number(stop);
    this.status = statusOf(position);
    this.price = Number(currentPrice);
  }

  /**
   * How far the price can fall before the stop loss sells, in percent of it; null without a stop loss or a live price.
   * Not exact money: only compared.
   */
  get distance() {
    if (this.stop === null || this.price === 0 || this.status !== "live") return null;
    return (100 * (this.price - this.stop)) / this.price;
  }
}

export class Watch {
  /** @type {Map<string, Held> | null} by id; null before the first snapshot */
  #held = null;
  /** @type {Map<string, Set<Held>>} by token */
  #byToken = new Map();
  #near;
  /** @type {number | null} on a steady clock; null while it is live, or was never */
  #lostAt = null;
  #wasLive = false;
  #toldLost = false;

  /** @param {AlertSettings} settings */
  constructor(settings) {
    this.#near = Number(settings.near);
  }

  /**
   * Something else is chosen: what is near by that is not news.
   *
   * @param {AlertSettings} settings
   */
  choose(settings) {
    this.#near = Number(settings.near);
    for (const held of this.#held?.values() ?? []) this.#arm(held);
  }

  /**
   * @param {Wire.InitialDataData} data
   * @returns {News[]}
   */
  snapshot({ positions, timestamp }) {
    const before = this.#held;
    /** @type {Map<string, Held>} */
    const held = new Map();
    /** @type {Held[]} */
    const moved = [];
    for (const position of positions) {
      const known = before?.get(position.id);
      const was = known?.status;
      const each = known ?? new Held(position);
      if (known) {
        known.take(position);
        this.#noteStatus(known, was, timestamp);
        moved.push(known);
      } else {
        this.#arm(each);
      }
      held.set(position.id, each);
    }
    this.#held = held;
    this.#byToken = new Map();
    for (const each of held.values()) this.#index(each);
    const closed = [...(before?.values() ?? [])].filter(({ id }) => !held.has(id));
    return [...news("closed", closed), ...this.#nearOf(moved), ...this.#notLiveOf(moved)];
  }

  /**
   * @param {Wire.PositionUpdateData} event
   * @returns {News[]}
   */
  event(event) {
    const known = this.#held?.get(idOf(event));
    if (!this.#held) return [];
    if (!event.position) {
      if (!known) return []; // told already, or never open here
      this.#held.delete(known.id);
      this.#release(known);
      return news("closed", [known]);
    }
    const was = known?.status;
    const held = known ?? new Held(event.position);
    if (known) {
      this.#release(known); // it may have migrated
      known.take(event.position);
      this.#noteStatus(known, was, event.timestamp);
    } else {
      this.#held.set(held.id, held);
    }
    this.#index(held);
    return [...this.#nearOf([held]), ...(known ? this.#notLiveOf([held]) : [])];
  }

  /**
   * @param {Wire.PriceUpdateBatchData} data
   * @returns {News[]}
   */
  prices({ updates, timestamp }) {
    /** @type {Held[]} */
    const moved = [];
    for (const { tokenAddress, price, priceStatus } of updates) {
      const number = Number(price);
      for (const held of this.#byToken.get(tokenAddress) ?? []) {
        const was = held.status;
        held.status = statusAfter(was, priceStatus) ?? "live";
        held.price = number;
        this.#noteStatus(held, was, timestamp);
        moved.push(held);
      }
    }
    return [...this.#nearOf(moved), ...this.#notLiveOf(moved)];
  }

  /**
   * The connection's state, whenever it is said. A short break is no news.
   *
   * @param {Client.State["name"]} state
   * @param {number} now milliseconds, on a steady clock
   * @returns {News[]}
   */
  connection(state, now) {
    if (state === "live" || state === "idle" || state === "logged-out") {
      const isBack = this.#toldLost && state === "live";
      this.#wasLive = state === "live";
      this.#lostAt = null;
      this.#toldLost = false;
      return isBack ? [{ kind: "connection", items: [{ symbol: "", positionId: null, detail: "back" }] }] : [];
    }
    if (!this.#wasLive || this.#toldLost) return [];
    this.#lostAt ??= now;
    const isRetried = state === "connecting" || state === "waiting";
    if (isRetried && now - this.#lostAt < LOST_AFTER_MS) return [];
    this.#toldLost = true;
    return [{ kind: "connection", items: [{ symbol: "", positionId: null, detail: "" }] }];
  }

  /** @param {Held[]} moved */
  #nearOf(moved) {
    const near = moved.filter((held) => {
      const { distance, armed } = held;
      if (distance === null) return false;
      const isNear = distance <= this.#near;
      if (isNear) held.armed = false;
      else if (distance > FARTHER * this.#near) held.armed = true;
      return isNear && armed;
    });
    return news("stop", near, ({ distance }) => {
      return distance === null || distance <= 0 ? "reached" : `${distance.toFixed(2)}%`;
    });
  }

  /** @param {Held} held */
  #arm(held) {
    const { distance } = held;
    held.armed = distance === null || distance > this.#near;
  }

  /**
   * @param {Held} held
   * @param {Wire.PriceStatus | undefined} was
   * @param {Wire.Timestamp} at
   */
  #noteStatus(held, was, at) {
    if (held.status === was) return;
    const now = Date.parse(at);
    if (held.status === "live") held.quietUntil = held.quietUntil === Infinity ? now + QUIET_MS : held.quietUntil;
    else if (was === "live" && now >= held.quietUntil) held.quietUntil = NaN; // to be told
  }

  /** @param {Held[]} moved */
  #notLiveOf(moved) {
    const told = moved.filter((held) => Number.isNaN(held.quietUntil));
    for (const held of told) held.quietUntil = Infinity;
    const ofEach = [...new Map(told.map((held) => [held.token, held])).values()]; // perhaps held by several wallets
    return news("price", ofEach, ({ status }) => (status === "none" ? "no price" : status));
  }

  /** @param {Held} held */
  #index(held) {
    const same = this.#byToken.get(held.token);
    if (same) same.add(held);
    else this.#byToken.set(held.token, new Set([held]));
  }

  /** @param {Held} held */
  #release(held) {
    const same = this.#byToken.get(held.token);
    same?.delete(held);
    if (same?.size === 0) this.#byToken.delete(held.token);
  }
}

/**
 * @param {Kind} kind
 * @param {Held[]} about
 * @param {(held: Held) => string} [detailOf]
 * @returns {News[]}
 */
function news(kind, about, detailOf = () => "") {
  const items = about.map((held) => ({ symbol: held.symbol, positionId: held.id, detail: detailOf(held) }));
  return items.length ? [{ kind, items }] : [];
}
