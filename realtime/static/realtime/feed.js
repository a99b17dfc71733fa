/**
 * What happened to an agent's positions, in words, newest first. No DOM, no I/O.
 */

import { Decimal } from "./decimal.js";
import * as format from "./format.js";
import { idOf } from "./store.js";

export const FEED_LENGTH = 40;

/**
 * @typedef {{kind: string, symbol: string, text: string}} Description
 * `note`: why, as whoever made the change has said; "" where nobody has, or where it is not read yet.
 *
 * @typedef {Description & {seq: number, timestamp: Wire.Timestamp, positionId: string, note: string}} Entry
 * @typedef {Wire.PositionUpdateData & {note?: string | null} | Wire.EventOnRest} PositionEvent
 */

/**
 * Describe an event. Returns null where nothing has changed that a trader would see.
 *
 * @param {PositionEvent} event
 * @param {Wire.StoredPosition} [before] the position before it, where that is known.
 * @returns {Description | null}
 */
export function describe({ eventType, position }, before) {
  if (!position) return { kind: "closed", symbol: before?.tokenSymbol ?? "A position", text: "closed" };
  const symbol = position.tokenSymbol;
  if (eventType === "position_created") {
    const bought = `${format.amount(position.purchaseAmount)} for ${format.sol(position.totalInvestedSol)} SOL`;
    return { kind: "opened", symbol, text: `opened: ${bought}` };
  }
  if (!before) return { kind: "changed", symbol, text: `changed: ${format.amount(position.remainingAmount)} held` };
  const trade = describeTrade(position, before);
  const stop = describeStop(position, before);
  const moon = position.moonBagActivated && !before.moonBagActivated ? "the rest is a moon bag" : null;
  const said = [trade?.text, moon, stop].filter((text) => typeof text === "string");
  if (said.length === 0) return null;
  return { kind: trade?.kind ?? (stop ? "stop" : "changed"), symbol, text: said.join(", ") };
}

/**
 * @param {Wire.StoredPosition} after
 * @param {Wire.StoredPosition} before
 */
function describeTrade(after, before) {
  /** @param {"purchaseAmount" | "remainingAmount" | "totalInvestedSol" | "realizedProfitSol"} field */
  const change = (field) => Decimal.of(after[field]).minus(Decimal.of(before[field]));
  const bought = change("purchaseAmount");
  if (bought.sign > 0) {
    const cost = format.sol(String(change("totalInvestedSol")));
    return { kind: "bought", text: `bought ${format.amount(String(bought))} more for ${cost} SOL` };
  }
  const left = change("remainingAmount");
  if (left.sign < 0) {
    const profit = format.sol(String(change("realizedProfitSol")), format.signed);
    return { kind: "sold", text: `sold ${format.amount(String(left).slice(1))}: ${profit} SOL` };
  }
  return null;
}

/**
 * @param {Wire.StoredPosition} after
 * @param {Wire.StoredPosition} before
 */
function describeStop({ currentStopLossPercentage: to }, { currentStopLossPercentage: from }) {
  if (to === from) return null;
  if (to === null) return "stop loss removed";
  return `stop loss ${from === null ? "" : `from ${format.chosenPercent(from)} `}to ${format.chosenPercent(to)}`;
}

/**
 * Describe events of the REST API, oldest first; what each position was before an event is in the list itself.
 *
 * @param {Wire.EventOnRest[]} events
 */
export function describeAll(events) {
  /** @type {Map<string, Wire.StoredPosition | null>} by id; null once it is closed */
  const last = new Map();
  const entries = [];
  for (const event of events) {
    const id = idOf(event);
    const before = last.get(id);
    const said = event.position || before !== null ? describe(event, before ?? undefined) : null;
    last.set(id, event.position ?? null);
    if (said) entries.push(entryOf(event, said));
  }
  return entries;
}

/**
 * @param {PositionEvent} event
 * @param {Description} said
 * @returns {Entry}
 */
function entryOf(event, said) {
  return { ...said, seq: event.seq, timestamp: event.timestamp, positionId: idOf(event), note: event.note ?? "" };
}

/** The newest events of one agent, and the profit of the closed positions among them. */
export class Feed {
  /** @type {Map<number, Entry>} by number */
  #entries = new Map();
  /** @type {Map<string, Wire.Digits>} by id of a closed position */
  #profits = new Map();

  /**
   * Add events of the REST API, and the notes of those that are there: no message has these.
   *
   * @param {Wire.EventOnRest[]} events
   */
  load(events) {
    for (const entry of describeAll(events)) {
      const known = this.#entries.get(entry.seq);
      if (known) known.note = entry.note;
      else this.#entries.set(entry.seq, entry);
    }
  }

  /**
   * Add an event as it happens; returns the new entry, null where there is none.
   *
   * @param {Wire.PositionUpdateData} event
   * @param {Wire.LivePosition | undefined} before
   */
  add(event, before) {
    const said = event.position || before ? describe(event, before) : null; // else closed before, and edited since
    if (!said) return null;
    const note = this.#entries.get(event.seq)?.note ?? "";
    const entry = entryOf({ ...event, note }, said);
    this.#entries.set(event.seq, entry);
    return entry;
  }

  /**
   * Learn the profit of closed positions; forget those that are neither among them nor in the feed.
   *
   * @param {Wire.PositionOnRest[]} closed
   */
  learnProfits(closed) {
    const listed = new Set([...this.#entries.values()].map(({ positionId }) => positionId));
    for (const id of this.#profits.keys()) if (!listed.has(id)) this.#profits.delete(id);
    for (const { id, profitLossSol } of closed) this.#profits.set(id, profitLossSol);
  }

  /** The entries, newest first, those of closed positions with their `profit` where it is known. */
  newest() {
    const newest = [...this.#entries.values()].sort((a, b) => b.seq - a.seq).slice(0, FEED_LENGTH);
    this.#entries = new Map(newest.map((entry) => [entry.seq, entry]));
    return newest.map((entry) => ({
      ...entry,
      profit: entry.kind === "closed" ? (this.#profits.get(entry.positionId) ?? null) : null,
    }));
  }
}
