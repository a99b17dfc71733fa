/**
 * What the positions of the socket leave out of an agent's totals: what closed ones have earned, and how the day began.
 * It comes over REST, so later or earlier than the events: figures of both are added only where they are of one moment.
 * No DOM, no I/O.
 *
 * @import { Store } from "./store.js"
 */

import { Decimal, ZERO } from "./decimal.js";
import { inUsd, sum } from "./money.js";

// How long figures stand while what belongs to them is read; after that they are unknown.
const HELD_MS = 3_000;

/**
 * What an agent has earned with one kind of money; null where unknown.
 *
 * @typedef {object} Earned
 * @property {Wire.Digits | null} realised
 * @property {Wire.Digits | null} total unrealised and realised together
 * @property {Wire.Digits | null} totalUsd
 * @property {Wire.Digits | null} invested all that was ever invested
 * @property {Wire.Digits | null} today
 * @property {Wire.Timestamp | null} since from when on today counts
 * @property {number | null} closed how many positions
 */

/** @type {Earned} */
const UNKNOWN = { realised: null, total: null, totalUsd: null, invested: null, today: null, since: null, closed: null };

export class Results {
  /** @type {Wire.ResultsOnRest | null} */
  #known = null;
  /** @type {Wire.ResultsOnRest | null} of a moment that the socket has not reached */
  #early = null;
  /** @type {Map<Wire.Mode | null, {at: number, earned: Earned}>} the last that were known, by mode */
  #held = new Map();

  /**
   * Take an answer of the server.
   *
   * @param {Wire.ResultsOnRest} answer
   */
  take(answer) {
    this.#early = answer;
  }

  /**
   * What goes with the positions of the store; null while it is being read.
   *
   * @param {Store} store
   */
  of(store) {
    if (this.#early && this.#early.eventSeq <= store.seq) {
      this.#known = this.#early;
      this.#early = null;
    }
    return this.#known && this.#known.eventSeq >= store.membersSeq ? this.#known : null;
  }

  /**
   * How the closed positions with this kind of money went, as far as the newest answer knows; null where it is unknown.
   *
   * @param {Wire.Mode | null} mode
   * @returns {Wire.PerformanceOnRest | null}
   */
  performance(mode) {
    const newest = this.#early ?? this.#known;
    const found = newest?.modes?.find((each) => each.mode === mode) ?? null;
    // A server of an earlier release has the figures of all modes together only.
    if (newest && newest.modes?.length === 0) return newest;
    return found && found.days ? found : null;
  }

  /** The modes that there are closed positions of, as far as that is known. */
  get modes() {
    return ((this.#early ?? this.#known)?.modes ?? []).map(({ mode }) => mode);
  }

  /**
   * What the agent has earned with this kind of money. While what goes with the store is being read, what it had earned
   * before: a position that has just been closed is in neither of the two.
   *
   * @param {Store} store
   * @param {Wire.Mode | null} mode null where unknown
   * @param {ReturnType<Store["totals"]>} open the totals of its open positions
   * @param {number} now milliseconds of the epoch
   * @param {Wire.Digits | null} [solUsd] USD for one SOL
   */
  earned(store, mode, open, now, solUsd = null) {
    const results = mode === null ? null : this.of(store);
    if (results) {
      const earned = add(results, mode, open, now, solUsd);
      this.#held.set(mode, { at: now, earned });
      return earned;
    }
    const held = this.#held.get(mode);
    return held && now - held.at < HELD_MS ? held.earned : UNKNOWN;
  }
}

/**
 * @param {Wire.ResultsOnRest} results
 * @param {Wire.Mode | null} mode
 * @param {ReturnType<Store["totals"]>} open
 * @param {number} now
 * @param {Wire.Digits | null} solUsd
 * @returns {Earned}
 */
function add(results, mode, open, now, solUsd) {
  const closed = results.modes?.find((each) => each.mode === mode);
  if (!closed) {
    // A server of an earlier release does not tell the modes apart.
    if (!results.modes) return UNKNOWN;
    const today = open.count === 0 ? "0" : null;
    const { realizedSol: realised, profitLossSol: total, profitLossUsd: totalUsd, investedSol: invested } = open;
    return { ...UNKNOWN, realised, total, totalUsd, invested, today, closed: 0 };
  }
  const { closedProfitSol, closedInvestedSol, closedPositions, today } = closed;
  return {
    realised: sum([open.realizedSol, closedProfitSol]),
    total: sum([open.profitLossSol, closedProfitSol]),
    totalUsd: closedPositions === 0 ? open.profitLossUsd : sum([open.profitLossUsd, inUsd(closedProfitSol, solUsd)]),
    invested: sum([open.investedSol, closedInvestedSol]),
    closed: closedPositions,
    since: today.since,
    today: change(open, today, now),
  };
}

/**
 * Today's change; null where it is unknown, also after midnight (UTC) until the server has said how the new day began.
 *
 * @param {ReturnType<Store["totals"]>} open
 * @param {Wire.TodayOnRest} today
 * @param {number} now
 */
function change(open, { date, since, startProfitSol, closedProfitSol }, now) {
  if (date !== new Date(now).toISOString().slice(0, 10) || startProfitSol === null) return null;
  const start = Decimal.of(startProfitSol);
  const earned = Decimal.of(open.profitLossSol).plus(Decimal.of(closedProfitSol));
  if (since === null) return open.count === 0 && start.sign === 0 && earned.sign === 0 ? String(ZERO) : null;
  return String(earned.minus(start));
}
