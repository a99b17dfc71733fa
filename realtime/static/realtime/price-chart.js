/**
 * The price of a position's token since it was opened: what the server has recorded is read once, and continued by what
 * arrives. Drawn once a second at most, and only where it is seen.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { ChartFigure } from "./chart-figure.js";
import { moneyOf } from "./currency.js";
import { byId } from "./dom.js";
import { recall, remember } from "./preferences.js";
import { priceContent } from "./price-data.js";
import { PriceHistory } from "./price-history.js";
import { isLive } from "./price-status.js";
import { isAborted } from "./session.js";
import { Timers } from "./timers.js";

const EVERY_MS = 1_000;
// The server has written the minute before the first price that arrived, at the latest.
const WRITTEN_AFTER_MS = 70_000;
const NOTHING = "No live price has been recorded since it was opened. The chart starts with the next one.";
const NOTHING_EVER = "No price was recorded while it was held.";

export class PriceChart {
  #figure;
  #session;
  #now;
  #timers = new Timers(); // draw, tail
  /** @type {PriceHistory | null} */
  #shown = null;
  /** @type {"candles" | "line"} */
  #kind = recall("price-chart") === "line" ? "line" : "candles";
  #usd = false;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {() => number} options.now milliseconds of the epoch, by the server's clock
   */
  constructor({ session, now }) {
    this.#session = session;
    this.#now = now;
    this.#figure = new ChartFigure("price-chart", { onRetry: () => this.reload(), onSeen: () => this.#draw() });
    for (const input of byId("price-kind").querySelectorAll("input")) {
      input.checked = input.value === this.#kind;
      input.addEventListener("change", () => {
        this.#kind = input.value === "line" ? "line" : "candles";
        remember("price-chart", this.#kind);
        this.#draw();
      });
    }
    byId("price-span").addEventListener("change", ({ target }) => {
      const span = target instanceof HTMLInputElement ? spanOf(target.value) : "all";
      if (this.#shown) this.#begin(this.#shown.position, span);
    });
  }

  /**
   * Read another span of this position's past.
   *
   * @param {Wire.LivePosition | Wire.PositionOnRest} position
   * @param {import("./price-history.js").Span} span
   */
  #begin(position, span) {
    const before = this.#shown;
    before?.end();
    this.#timers.cancelAll();
    this.#shown = new PriceHistory(position, span, this.#now());
    if (before?.position.id === position.id) this.#shown.events = before.events;
    for (const input of byId("price-span").querySelectorAll("input")) input.checked = input.value === span;
    this.reload();
  }

  /** Show nothing any more. */
  end() {
    this.#shown?.end();
    this.#shown = null;
    this.#timers.cancelAll();
    this.#figure.show(null);
    this.#figure.say("");
  }

  /**
   * The position as it is now, at its current price. Cheap: this is called for every frame.
   *
   * @param {Wire.LivePosition | Wire.PositionOnRest} position
   */
  show(position) {
    const before = this.#shown;
    if (before?.position.id !== position.id || before.position.tokenAddress !== position.tokenAddress) {
      this.end();
      this.#begin(position, "all");
    }
    const shown = /** @type {PriceHistory} */ (this.#shown);
    const isNew = shown.position !== position && !("closedAt" in position && "closedAt" in shown.position);
    shown.position = position;
    if (shown.isOpen && isLive(position) && position.priceTimestamp !== null) {
      shown.candles.tick(Date.parse(position.priceTimestamp), position.currentPrice, position.currentPriceUsd);
    }
    if (this.#usd !== moneyOf(position).isUsd) this.#draw();
    else if (isNew && !this.#timers.has("draw")) this.#timers.set("draw", EVERY_MS, () => this.#draw());
  }

  /**
   * The position's events, oldest first: there is a new one, perhaps a trade.
   *
   * @param {Wire.EventOnRest[]} events
   */
  setEvents(events) {
    if (!this.#shown) return;
    const isNew = this.#shown.events.length > 0;
    this.#shown.events = events;
    if (isNew) this.#readTrades(this.#shown);
    this.#draw();
  }

  /** Read what has been recorded, at first and after an outage. */
  async reload() {
    const shown = this.#shown;
    if (!shown) return;
    const { tokenAddress, id } = shown.position;
    const { from, interval, signal, candles } = shown;
    const span = { interval, from: Math.max(from, candles.recordedTo ?? from), to: shown.to(this.#now()) };
    try {
      const [recorded, trades] = await Promise.all([
        api.candles(this.#session, tokenAddress, span, signal),
        api.tradesOf(this.#session, id, signal),
      ]);
      candles.record(recorded);
      if (shown.isTooCoarse) {
        this.#begin(shown.position, "hour");
        return;
      }
      [shown.trades, shown.note, shown.failed] = [trades, null, false];
      this.#readTail(shown);
    } catch (error) {
      this.#fail(shown, "The price history is unavailable", error);
    }
    this.#draw();
  }

  /**
   * @param {PriceHistory} shown
   * @param {string} what
   * @param {unknown} error
   */
  #fail(shown, what, error) {
    if (isAborted(error)) return;
    [shown.note, shown.failed] = [`${what}: ${error instanceof Error ? error.message : error}`, true];
  }

  /**
   * What was recorded between the answer and the first price that arrived is written by then.
   *
   * @param {PriceHistory} shown
   */
  #readTail({ candles, isOpen }) {
    const { liveFrom, recordedTo, length } = candles;
    if (!isOpen || recordedTo === null || liveFrom === null || liveFrom - recordedTo <= length) return;
    if (liveFrom - recordedTo < 5 * length) this.#timers.set("tail", WRITTEN_AFTER_MS, () => this.reload());
  }

  /** @param {PriceHistory} shown */
  async #readTrades(shown) {
    try {
      shown.trades = await api.tradesOf(this.#session, shown.position.id, shown.signal);
    } catch (error) {
      this.#fail(shown, "Its trades are unavailable", error);
    }
    this.#draw();
  }

  #draw() {
    this.#timers.cancel("draw");
    const shown = this.#shown;
    if (!shown || !this.#figure.seen) return;
    const { position, candles, from, trades, events, isOpen } = shown;
    const money = moneyOf(position);
    this.#usd = money.isUsd;
    const content = priceContent({
      kind: this.#kind,
      points: candles.points,
      length: candles.length,
      from,
      to: shown.to(this.#now()),
      position,
      isOpen,
      isLive: isLive(position),
      events,
      trades: shown.span === "all" ? trades : trades.filter(({ executedAt }) => Date.parse(executedAt) >= from),
      money,
      usd: money.isUsd,
    });
    this.#figure.show(content);
    const nothing = isOpen ? NOTHING : NOTHING_EVER;
    this.#figure.say(shown.note ?? (content ? "" : nothing), { retry: shown.failed });
  }
}

/**
 * @param {string} value
 * @returns {import("./price-history.js").Span}
 */
const spanOf = (value) => (value === "hour" || value === "day" ? value : "all");
