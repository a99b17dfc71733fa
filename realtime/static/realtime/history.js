/**
 * The cards below the table: what happened, and the positions that are closed.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { sol } from "./cells.js";
import { byId, find, make, write } from "./dom.js";
import { FEED_LENGTH } from "./feed.js";
import * as format from "./format.js";
import { isAborted, RequestFailed } from "./session.js";
import { Timers } from "./timers.js";

const CLOSED_MORE = 25;
const GATHER_MS = 150;

/**
 * An entry of a feed as a list item.
 *
 * @param {import("./feed.js").Entry & {profit?: Wire.Digits | null}} entry
 */
export function item({ kind, symbol, text, timestamp, profit = null }, { withSymbol = true } = {}) {
  const li = make("li");
  li.dataset.kind = kind;
  const what = make("span", "what");
  if (withSymbol) what.append(make("strong", "", format.symbol(symbol)), " ");
  what.append(text);
  if (profit !== null) {
    const gain = make("span", "gain", ` ${format.sol(profit, format.signed)} SOL`);
    gain.dataset.direction = format.direction(profit);
    what.append(gain);
  }
  const time = make("time", "muted", format.moment(timestamp));
  time.dateTime = timestamp;
  li.append(what, time);
  return li;
}

export class History {
  /** @type {ChosenAgent | null} */
  #agent = null;
  #timers = new Timers(); // refresh
  #session;
  #onResults;
  #onFailed;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {() => void} options.onResults is called when the agent's results are new.
   * @param {(error: unknown) => void} options.onFailed is called with the error of a failed request.
   */
  constructor({ session, onResults, onFailed }) {
    this.#session = session;
    this.#onResults = onResults;
    this.#onFailed = onFailed;
    byId("closed-more").addEventListener("click", () => {
      if (this.#agent) this.#agent.closedLimit += CLOSED_MORE;
      this.refresh();
    });
  }

  /**
   * Show this agent's history, nothing of it yet.
   *
   * @param {ChosenAgent | null} agent
   */
  show(agent) {
    this.#timers.cancelAll();
    this.#agent = agent;
    byId("history").hidden = true;
    byId("feed").replaceChildren();
    byId("closed-rows").replaceChildren();
  }

  /**
   * Read what happened up to event `seq`, and which positions are closed.
   *
   * @param {number} seq
   */
  async load(seq) {
    this.refresh();
    await this.#ask(async ({ id, signal, feed }) => {
      const after = Math.max(0, seq - FEED_LENGTH);
      feed.load(await api.events(this.#session, id, { after, limit: FEED_LENGTH, signal }));
      this.#showFeed(feed);
    });
  }

  /**
   * Show an event as it happens.
   *
   * @param {Wire.PositionUpdateData} event
   * @param {Wire.LivePosition | undefined} before
   */
  add(event, before) {
    if (!this.#agent) return;
    const { feed } = this.#agent;
    if (feed.add(event, before)) this.#showFeed(feed);
    if (event.eventType === "position_closed") this.#timers.set("refresh", GATHER_MS, () => this.refresh());
  }

  /** Read results and closed positions again. */
  async refresh() {
    await this.#ask(async (agent) => {
      const [results, closed] = await Promise.all([
        api.results(this.#session, agent.id, agent.signal).catch(nullWhereUnavailable),
        api.closedPositions(this.#session, agent.id, agent.closedLimit, agent.signal),
      ]);
      agent.results = results;
      agent.feed.learnProfits(closed.results);
      this.#onResults();
      this.#showClosed(closed);
      this.#showFeed(agent.feed);
    });
  }

  /** @param {(agent: ChosenAgent) => Promise<void>} read */
  async #ask(read) {
    if (!this.#agent) return;
    const problem = byId("history-error");
    try {
      await read(this.#agent);
      problem.hidden = true;
    } catch (error) {
      if (isAborted(error)) return;
      this.#onFailed(error);
      problem.textContent = `The history is unavailable: ${error instanceof Error ? error.message : error}`;
      problem.hidden = false;
    }
    byId("history").hidden = this.#agent === null;
  }

  /** @param {import("./feed.js").Feed} feed */
  #showFeed(feed) {
    const entries = feed.newest();
    byId("feed").replaceChildren(...entries.map((entry) => item(entry)));
    byId("feed-none").hidden = entries.length > 0;
    byId("history").hidden = false;
  }

  /** @param {Wire.Page<Wire.PositionOnRest>} page */
  #showClosed({ count, results }) {
    write("closed-count", count ? String(count) : "");
    byId("closed-none").hidden = count > 0;
    find(byId("history"), "table").hidden = count === 0;
    byId("closed-more").hidden = results.length >= count;
    byId("closed-rows").replaceChildren(...results.map(closedRow));
  }
}

/**
 * The results are unknown while the cache is unavailable; closed positions are not.
 *
 * @param {unknown} error
 */
function nullWhereUnavailable(error) {
  if (error instanceof RequestFailed && error.status === 503) return null;
  throw error;
}

/** @param {Wire.PositionOnRest} position */
function closedRow(position) {
  const row = make("tr");
  row.dataset.closedId = position.id;
  row.dataset.testid = "closed-position";
  /**
   * @param {string} text
   * @param {string} title
   */
  const cell = (text, title = "") => {
    const td = make("td");
    const span = make("span", "", text);
    span.title = title;
    td.append(span);
    row.append(td);
    return span;
  };
  const token = make("th", "", position.tokenSymbol);
  token.scope = "row";
  token.title = position.tokenAddress;
  row.append(token);
  cell(format.sol(position.totalInvestedSol), sol(position.totalInvestedSol));
  const profit = cell(`${format.sol(position.profitLossSol, format.signed)} SOL`, sol(position.profitLossSol));
  profit.className = "gain arrow";
  profit.dataset.direction = format.direction(position.profitLossSol);
  cell(format.percent(position.profitLossPercent, format.signed), `${position.profitLossPercent}%`);
  cell(position.closeReason ?? format.UNKNOWN);
  cell(position.closedAt ? format.moment(position.closedAt) : format.UNKNOWN, position.closedAt ?? "");
  return row;
}
