/**
 * What a user wants to be told of, and how, agent by agent: nothing until it is chosen. Stored on this machine.
 */

import { Decimal, HUNDRED } from "./decimal.js";
import { recall, remember } from "./preferences.js";

/**
 * A position is closed; a stop loss is near; a price is not live any more; the connection is lost.
 *
 * @typedef {"closed" | "stop" | "price" | "connection"} Kind
 */
/** @typedef {"sound" | "notification" | "title"} Way */

/** @type {Record<Kind, string>} */
export const KINDS = {
  closed: "a position is closed",
  stop: "a stop loss is near",
  price: "a price is not live any more",
  connection: "the connection is lost",
};
/** @type {Record<Way, string>} */
export const WAYS = { sound: "Sound", notification: "Notification", title: "Title" };

const NEAR = "3";

/** What is chosen for one agent. */
export class AlertSettings {
  /** @type {Map<Kind, Set<Way>>} */
  #chosen = new Map();
  /** @type {Wire.Digits} how far a price may still fall, in percent, where its stop loss counts as near */
  near = NEAR;

  /** @param {unknown} [stored] as `toJSON` gave it, or anything else: what cannot be read is not chosen. */
  constructor(stored) {
    const { near, ...ways } = /** @type {Record<string, unknown>} */ (Object(stored));
    for (const [kind, named] of Object.entries(ways)) {
      if (!isKind(kind) || !Array.isArray(named)) continue;
      for (const way of named) if (isWay(way)) this.choose(kind, way, true);
    }
    if (typeof near === "string") this.near = readNear(near).digits ?? NEAR;
  }

  /** Whether anything is chosen. */
  get isOn() {
    return this.#chosen.size > 0;
  }

  /** All ways that are chosen for something. */
  get ways() {
    return new Set([...this.#chosen.values()].flatMap((ways) => [...ways]));
  }

  /** @param {Kind} kind */
  waysOf(kind) {
    return this.#chosen.get(kind) ?? new Set();
  }

  /**
   * @param {Kind} kind
   * @param {Way} way
   * @param {boolean} chosen
   */
  choose(kind, way, chosen) {
    const ways = new Set(this.waysOf(kind));
    if (chosen) ways.add(way);
    else ways.delete(way);
    if (ways.size) this.#chosen.set(kind, ways);
    else this.#chosen.delete(kind);
  }

  toJSON() {
    const ways = [...this.#chosen].map(([kind, chosen]) => [kind, [...chosen]]);
    return { near: this.near, ...Object.fromEntries(ways) };
  }
}

/**
 * What is stored for an agent of this user.
 *
 * @param {string} username
 * @param {string} agentId
 */
export function readSettings(username, agentId) {
  try {
    return new AlertSettings(JSON.parse(recall(nameOf(username, agentId), "{}")));
  } catch {
    return new AlertSettings(); // it was not the page that wrote this
  }
}

/**
 * @param {string} username
 * @param {string} agentId
 * @param {AlertSettings} settings
 */
export function storeSettings(username, agentId, settings) {
  remember(nameOf(username, agentId), JSON.stringify(settings));
}

/**
 * Read what counts as near, in percent.
 *
 * @param {string} text
 * @returns {import("./dialogs.js").Typed}
 */
export function readNear(text) {
  const digits = text.trim().replace(",", ".").replace(/%$/, "").trim();
  if (!/^\d{1,3}(\.\d{1,2})?$/.test(digits)) return { problem: "Enter a number of percent, such as 3 or 0.5." };
  const number = Decimal.of(digits);
  if (number.sign === 0 || number.compare(HUNDRED) >= 0) return { problem: "Enter more than 0 and less than 100." };
  return { digits: String(number) };
}

/**
 * @param {string} username
 * @param {string} agentId
 */
const nameOf = (username, agentId) => `alerts.${username}.${agentId}`;

/**
 * @param {string} name
 * @returns {name is Kind}
 */
const isKind = (name) => name in KINDS;

/**
 * @param {unknown} name
 * @returns {name is Way}
 */
const isWay = (name) => typeof name === "string" && name in WAYS;
