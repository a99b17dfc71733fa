/**
 * The cards below the table: what happened, and the positions that are closed.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { sol } from "./cells.js";
import { backoff } from "./close-codes.js";
import { byId, find, make, write } from "./dom.js";
import { FEED_LENGTH } from "./feed.js";
import * as format from "./format.js";
import { pathOf } from "./navigation.js";
import { isAborted } from "./session.js";
import { Timers } from "./timers.js";
import * as times from "./times.js";

const CLOSED_MORE = 25;
const GATHER_MS = 150;
const NOTES_AFTER_MS = 1000; // of everything that happens meanwhile, in one request
const MAY_HAVE_NOTES = ["sold", "closed", "stop"];

/**
 * An entry of a feed as a list item.
 *
 * @param {import("./feed.js").Entry & {profit?: Wire.Digits | null}} entry
 */
export function item({ kind, symbol, text, timestamp, note, profit = null }, { withSymbol = true } = {}) {
  const li = make("li");
  li.dataset.kind = kind;
  const what = make("span", "what");
  if (withSymbol) {
    const name = make("strong");
    name.append(make("bdi", "", symbol));
    what.append(name, " ");
  }
  what.append(text);
  if (profit !== null) {
    const gain = make("span", "gain", ` ${format.sol(profit, format.signed)} SOL`);
    gain.dataset.direction = format.direction(profit);
    what.append(gain);
  }
  if (note) what.append(make("q", "note", note));
  const time = make("time", "muted", times.moment(timestamp));
  time.dateTime = timestamp;
  li.append(what, time);
  return li;
}

export class History {
  /** @type {ChosenAgent | null} */
  #agent = null;
  #timers = new Timers(); // refresh, again, notes
  #firstWithoutNote = 0;
  #failures = 0; // in a row
  #session;
  #onFailed;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {(error: unknown) => void} options.onFailed is called with the error of a failed request.
   */
  constructor({ session, onFailed }) {
    this.#session = session;
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
    const entry = feed.add(event, before);
    if (entry) this.#showFeed(feed);
    if (entry && MAY_HAVE_NOTES.includes(entry.kind)) this.#readNotes(event.seq);
    if (event.position || this.#timers.has("refresh")) return;
    this.#timers.set("refresh", GATHER_MS, () => this.refresh());
  }

  /**
   * Read soon what was noted about this event and those that follow.
   *
   * @param {number} seq
   */
  #readNotes(seq) {
    if (this.#timers.has("notes")) return;
    this.#firstWithoutNote = seq;
    this.#timers.set("notes", NOTES_AFTER_MS, () =>
      this.#ask(async ({ id, signal, feed }) => {
        feed.load(await api.events(this.#session, id, { after: this.#firstWithoutNote - 1, signal }));
        this.#showFeed(feed);
      }),
    );
  }

  /** Read the closed positions again. */
  async refresh() {
    await this.#ask(async (agent) => {
      const { id, signal, closedLimit } = agent;
      const closed = await api.closedPositions(this.#session, id, closedLimit, signal);
      agent.feed.learnProfits(closed.results);
      this.#showClosed(closed);
      this.#showFeed(agent.feed);
    });
  }

  /** @param {(agent: ChosenAgent) => Promise<void>} read is tried again where it fails. */
  async #ask(read) {
    const agent = this.#agent;
    if (!agent) return;
    const problem = byId("history-error");
    try {
      await read(agent);
      problem.hidden = true;
      this.#failures = 0;
    } catch (error) {
      if (isAborted(error)) return;
      this.#onFailed(error);
      const message = error instanceof Error ? error.message : error;
      problem.textContent = `The history is unavailable: ${message} Trying again…`;
      problem.hidden = false;
      this.#timers.set("again", backoff(this.#failures, 1000), () => this.load(agent.store.seq));
      this.#failures += 1;
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

  /** @param {{count: number, results: Wire.PositionOnRest[]}} page */
  #showClosed({ count, results }) {
    write("closed-count", count ? String(count) : "");
    byId("closed-none").hidden = count > 0;
    find(byId("history"), "table").hidden = count === 0;
    byId("closed-more").hidden = results.length >= count;
    byId("closed-rows").replaceChildren(...results.map(closedRow));
  }
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
  const token = make("th");
  token.scope = "row";
  const link = make("a", "open");
  link.href = pathOf(position.agentId, position.id);
  link.title = position.tokenAddress;
  link.append(make("bdi", "", position.tokenSymbol));
  token.append(link);
  row.append(token);
  cell(format.sol(position.totalInvestedSol), sol(position.totalInvestedSol));
  const profit = cell(`${format.sol(position.profitLossSol, format.signed)} SOL`, sol(position.profitLossSol));
  profit.className = "gain arrow";
  profit.dataset.direction = format.direction(position.profitLossSol);
  cell(format.percent(position.profitLossPercent, format.signed), `${position.profitLossPercent}%`);
  cell(position.closeReason ?? format.UNKNOWN);
  const held = position.closedAt === null ? NaN : Date.parse(position.closedAt) - Date.parse(position.createdAt);
  cell(times.seconds(held), `opened ${times.moment(position.createdAt)}`);
  cell(position.closedAt ? times.moment(position.closedAt) : format.UNKNOWN, position.closedAt ?? "");
  return row;
}
