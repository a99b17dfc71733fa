/**
 * The value of the agent's positions over a day, a week, a month and all that is kept, and what it gained: what the
 * server has recorded is read once for each of them, and continued by the totals of the page. Drawn once a second at
 * most, and only where it is seen.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Session } from "./session.js"
 * @import { Now } from "./value-data.js"
 */

import * as api from "./api.js";
import { Cells } from "./cells.js";
import { ChartFigure } from "./chart-figure.js";
import { isUsd } from "./currency.js";
import { byId } from "./dom.js";
import { inUsd } from "./money.js";
import { recall, remember } from "./preferences.js";
import { isAborted } from "./session.js";
import { Timers } from "./timers.js";
import * as times from "./times.js";
import { continued, gainBetween, momentOf, valueContent } from "./value-data.js";

const EVERY_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const LATE = 3; // intervals without a point, after which what is missing is read
/** @typedef {{interval: "1m" | "1h", length: number, name: string}} Range */
/** @type {Record<string, Range>} */
const RANGES = {
  day: { interval: "1m", length: DAY_MS, name: "24 hours" },
  week: { interval: "1h", length: 7 * DAY_MS, name: "7 days" },
  month: { interval: "1h", length: 30 * DAY_MS, name: "30 days" },
  all: { interval: "1h", length: Infinity, name: "all" },
};
const NOTHING = "Nothing has been recorded yet. The chart starts with the next minute in which the price feed runs.";

export class ValueChart {
  #figure;
  #session;
  #now;
  #cells = new Cells(byId("performance-head"));
  #timers = new Timers(); // draw, late
  /** @type {ChosenAgent | null} */
  #agent = null;
  /** @type {Wire.Mode | null | undefined} of the money that is shown; null: of all of it; undefined: not known yet */
  #mode;
  /** @type {Now | null} */
  #current = null;
  /** @type {Wire.ValueOnRest[] | null} null: not asked for */
  #points = null;
  /** @type {import("./value-data.js").Moment[]} since the last of them, one an interval */
  #since = [];
  /** @type {string | null} */
  #note = null;
  #failed = false;
  #reading = new AbortController();
  #usd = false;
  #range = recall("value-range", "day");
  /** @type {"value" | "profit"} */
  #kind = recall("value-kind") === "profit" ? "profit" : "value";

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {() => number} options.now milliseconds of the epoch, by the server's clock
   */
  constructor({ session, now }) {
    this.#session = session;
    this.#now = now;
    this.#figure = new ChartFigure("value-chart", { onRetry: () => this.reload(), onSeen: () => this.#wake() });
    if (!(this.#range in RANGES)) this.#range = "day";
    wire("value-range", this.#range, (value) => {
      this.#range = value;
      this.#forget();
      this.reload();
    });
    wire("value-kind", this.#kind, (value) => {
      this.#kind = value === "profit" ? "profit" : "value";
      this.#draw();
    });
  }

  /** @param {ChosenAgent | null} agent */
  show(agent) {
    this.#reading.abort();
    this.#timers.cancelAll();
    this.#agent = agent;
    this.#mode = undefined;
    this.#current = null;
    this.#forget();
    this.#figure.show(null);
    this.#figure.say("");
  }

  /** What is known is not of what is to be shown. */
  #forget() {
    this.#points = this.#note = null;
    this.#since = [];
    this.#failed = false;
  }

  /**
   * The totals, as they are now, of the kind of money that is shown. Cheap: this is called for every frame.
   *
   * @param {Wire.Mode | null} mode null where the agent has one kind of money only
   * @param {Now | null} now null while they are not known.
   */
  take(mode, now) {
    this.#current = now;
    if (mode !== this.#mode) {
      const isRead = this.#points !== null || this.#note !== null; // or is being read
      this.#mode = mode;
      this.#forget();
      if (isRead) this.reload();
    }
    if (!this.#figure.seen) return;
    if (this.#points !== null && this.#isLate() && !this.#timers.has("late")) {
      this.#timers.set("late", MINUTE_MS, () => this.reload());
    }
    if (this.#points === null && this.#note === null) this.reload();
    else if (this.#usd !== isUsd()) this.#draw();
    else if (!this.#timers.has("draw")) this.#timers.set("draw", EVERY_MS, () => this.#draw());
  }

  /** Read what has been recorded, at first and after an outage. */
  async reload() {
    const agent = this.#agent;
    this.#reading.abort();
    this.#timers.cancel("late");
    if (!agent || this.#mode === undefined || !this.#figure.seen) {
      this.#points = this.#note = null; // when it is seen
      return;
    }
    this.#reading = new AbortController();
    const signal = AbortSignal.any([agent.signal, this.#reading.signal]);
    const { interval, length } = RANGES[this.#range];
    const from = length === Infinity ? 0 : this.#now() - length;
    if (this.#points === null) this.#note = "Loading…";
    this.#draw();
    try {
      this.#points = await api.valueHistory(this.#session, agent.id, { interval, from, mode: this.#mode }, signal);
      [this.#since, this.#note, this.#failed] = [[], null, false];
    } catch (error) {
      if (isAborted(error)) return;
      this.#points = this.#points ?? [];
      this.#note = `The value's history is unavailable: ${error instanceof Error ? error.message : error}`;
      this.#failed = true;
    }
    this.#draw();
  }

  /** It is seen again: what came meanwhile is read where it was not drawn. */
  #wake() {
    if (this.#points === null || this.#isLate()) this.reload();
    else this.#draw();
  }

  #isLate() {
    const last = this.#since.at(-1)?.at ?? Date.parse(this.#points?.at(-1)?.timestamp ?? "");
    return !(this.#now() - last <= LATE * this.#interval);
  }

  get #interval() {
    return RANGES[this.#range].interval === "1m" ? MINUTE_MS : HOUR_MS;
  }

  /** What was recorded, what came since, and what is now. */
  #moments() {
    const recorded = this.#points ?? [];
    const last = recorded.at(-1);
    const moments = [...recorded.map(momentOf), ...this.#since];
    if (!last || !this.#current || this.#isLate()) return moments;
    const now = continued(last, this.#current, this.#now());
    const before = moments[moments.length - 1];
    if (now.at - before.at >= this.#interval) this.#since.push(now);
    return now.at > before.at ? [...moments, now] : moments;
  }

  #draw() {
    this.#timers.cancel("draw");
    if (!this.#agent || !this.#figure.seen) return;
    this.#usd = isUsd();
    const moments = this.#moments();
    const solUsd = this.#current?.solUsd ?? null;
    this.#figure.say(this.#note ?? (moments.length ? "" : NOTHING), { retry: this.#failed });
    this.#showGain(moments, solUsd);
    if (moments.length === 0) {
      this.#figure.show(null);
      return;
    }
    const { length } = RANGES[this.#range];
    const to = this.#now();
    const from = length === Infinity ? moments[0].at : Math.max(to - length, moments[0].at);
    const usd = this.#usd ? solUsd : null;
    const span = { interval: this.#interval, from: Math.min(from, to - 10 * MINUTE_MS), to };
    this.#figure.show(valueContent({ kind: this.#kind, moments, ...span, solUsd: usd }));
  }

  /**
   * @param {import("./value-data.js").Moment[]} moments
   * @param {Wire.Digits | null} solUsd
   */
  #showGain(moments, solUsd) {
    const [first, last] = [moments[0], moments[moments.length - 1]];
    const gain = moments.length > 1 ? gainBetween(first, last) : null;
    this.#cells.gain("range-gain", gain, inUsd(gain, solUsd));
    const since = first ? `since ${times.moment(new Date(first.at).toISOString())}` : "";
    const title = "Change of the value, less what was put in and plus what was taken out meanwhile";
    this.#cells.set("range-note", since, title);
  }
}

/**
 * Let the user choose, and remember it.
 *
 * @param {string} id
 * @param {string} chosen
 * @param {(value: string) => void} onChoice
 */
function wire(id, chosen, onChoice) {
  for (const input of byId(id).querySelectorAll("input")) {
    input.checked = input.value === chosen;
    input.addEventListener("change", () => {
      remember(id, input.value);
      onChoice(input.value);
    });
  }
}
