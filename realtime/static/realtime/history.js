/**
 * What happened: the feed of events, one position's history, and the positions that are closed.
 */

import * as api from "./api.js";
import { make, sol } from "./cells.js";
import { Decimal } from "./decimal.js";
import * as format from "./format.js";

const FEED_LENGTH = 40;
const CLOSED_AT_FIRST = 8;
const CLOSED_MORE = 25;
const GATHER_MS = 150;

const byId = (id) => document.getElementById(id);

/**
 * What an event says, in words.
 *
 * @param before the position before it; undefined where that is not known.
 * @returns `{kind, symbol, text}`; null where nothing that a trader would see has changed.
 */
export function describe({ eventType, position }, before) {
  const symbol = (position ?? before)?.tokenSymbol ?? "A position";
  if (eventType === "position_closed") return { kind: "closed", symbol, text: "closed" };
  const bought = ({ purchaseAmount, totalInvestedSol }) => `${format.amount(purchaseAmount)} for ${format.sol(totalInvestedSol)} SOL`;
  if (eventType === "position_created") return { kind: "opened", symbol, text: `opened: ${bought(position)}` };
  if (!before) return { kind: "changed", symbol, text: `changed: ${format.amount(position.remainingAmount)} held` };
  const said = [];
  const change = (field) => Decimal.of(position[field]).minus(Decimal.of(before[field]));
  let kind = "changed";
  if (change("purchaseAmount").sign > 0) {
    kind = "bought";
    said.push(`bought ${format.amount(String(change("purchaseAmount")))} more for ${format.sol(String(change("totalInvestedSol")))} SOL`);
  } else if (change("remainingAmount").sign < 0) {
    kind = "sold";
    const sold = format.amount(String(change("remainingAmount")).slice(1));
    said.push(`sold ${sold}: ${format.sol(String(change("realizedProfitSol")), format.signed)} SOL`);
  }
  if (position.moonBagActivated && !before.moonBagActivated) said.push("the rest is a moon bag");
  if (position.currentStopLossPercentage !== before.currentStopLossPercentage) {
    if (kind === "changed") kind = "stop";
    const from = before.currentStopLossPercentage;
    said.push(`stop loss ${from === null ? "" : `from ${format.chosenPercent(from)} `}to ${format.chosenPercent(position.currentStopLossPercentage)}`);
  }
  return said.length ? { kind, symbol, text: said.join(", ") } : null;
}

/** Events of the REST API, oldest first, as entries of a feed; what came before each is in the list itself. */
export function describeAll(events) {
  const last = new Map(); // id → position; null once it is closed
  const entries = [];
  for (const event of events) {
    const id = event.position?.id ?? event.positionId;
    const said = event.position || last.get(id) !== null ? describe(event, last.get(id)) : null;
    last.set(id, event.position ?? null);
    if (said) entries.push({ ...said, seq: event.seq, timestamp: event.timestamp, positionId: id });
  }
  return entries;
}

/** An entry as a list item. */
export function item({ kind, symbol, text, timestamp, result }, { withSymbol = true } = {}) {
  const li = make("li");
  li.dataset.kind = kind;
  const what = make("span", "what");
  if (withSymbol) what.append(make("strong", "", symbol), " ");
  what.append(text);
  if (result) {
    const gain = make("span", "gain", ` ${format.sol(result, format.signed)} SOL`);
    gain.dataset.direction = format.direction(result);
    what.append(gain);
  }
  const time = make("time", "muted", format.moment(timestamp));
  time.dateTime = timestamp;
  li.append(what, time);
  return li;
}

export class History {
  #agentId = null;
  #entries = new Map(); // seq → entry
  #results = new Map(); // id of a closed position → its profit
  #limit = CLOSED_AT_FIRST;
  #timer = null;

  /**
   * @param session asks the API.
   * @param onResults hears what the agent has earned.
   * @param onFailed hears of an error that only a log-in helps against.
   */
  constructor({ session, onResults, onFailed }) {
    Object.assign(this, { session, onResults, onFailed });
    byId("closed-more").addEventListener("click", () => {
      this.#limit += CLOSED_MORE;
      this.refresh();
    });
  }

  clear() {
    clearTimeout(this.#timer);
    this.#agentId = null;
    this.#entries.clear();
    this.#results.clear();
    this.#limit = CLOSED_AT_FIRST;
    byId("history").hidden = true;
    byId("feed").replaceChildren();
    byId("closed-rows").replaceChildren();
  }

  /** Read what happened up to event `seq`, and what is closed. */
  async load(agentId, seq) {
    this.#agentId = agentId;
    this.refresh();
    await this.#ask(async () => {
      const events = await api.events(this.session, agentId, { after: Math.max(0, seq - FEED_LENGTH), limit: FEED_LENGTH });
      if (agentId !== this.#agentId) return;
      for (const entry of describeAll(events)) if (!this.#entries.has(entry.seq)) this.#entries.set(entry.seq, entry);
      this.#showFeed();
    });
  }

  /** Take in an event as it happens. */
  add(event, before) {
    const positionId = event.position?.id ?? event.positionId;
    const said = event.position || before ? describe(event, before) : null; // closed before: edited since
    if (said) {
      this.#entries.set(event.seq, { ...said, seq: event.seq, timestamp: event.timestamp, positionId });
      this.#showFeed();
    }
    if (event.eventType === "position_closed") this.refreshSoon();
  }

  /** Read results and closed positions again, once for many changes. */
  refreshSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), GATHER_MS);
  }

  async refresh() {
    const agentId = this.#agentId;
    if (agentId === null) return;
    await this.#ask(async () => {
      const [results, closed] = await Promise.all([
        api.results(this.session, agentId).catch((error) => (error.status === 503 ? null : Promise.reject(error))),
        api.closedPositions(this.session, agentId, { limit: this.#limit }),
      ]);
      if (agentId !== this.#agentId) return;
      this.onResults(results);
      this.#showClosed(closed);
    });
  }

  async #ask(read) {
    const agentId = this.#agentId;
    const problem = byId("history-error");
    try {
      await read();
      problem.hidden = true;
    } catch (error) {
      if (agentId !== this.#agentId) return;
      this.onFailed(error);
      problem.textContent = `What is closed cannot be read: ${error.message}`;
      problem.hidden = false;
    }
    byId("history").hidden = this.#agentId === null;
  }

  #showFeed() {
    const newest = [...this.#entries.values()].sort((a, b) => b.seq - a.seq).slice(0, FEED_LENGTH);
    this.#entries = new Map(newest.map((entry) => [entry.seq, entry]));
    byId("feed").replaceChildren(...newest.map((entry) => item({ ...entry, result: entry.kind === "closed" ? this.#results.get(entry.positionId) : undefined })));
    byId("feed-none").hidden = newest.length > 0;
    byId("history").hidden = false;
  }

  #showClosed({ count, results }) {
    byId("closed-count").textContent = count || "";
    byId("closed-none").hidden = count > 0;
    byId("closed-rows").closest("table").hidden = count === 0;
    byId("closed-more").hidden = results.length >= count;
    byId("closed-rows").replaceChildren(...results.map(closedRow));
    for (const position of results) this.#results.set(position.id, position.profitLossSol);
    this.#showFeed();
  }
}

function closedRow(position) {
  const row = make("tr");
  row.dataset.closedId = position.id;
  row.dataset.testid = "closed-position";
  const cell = (text, title = "", direction = null) => {
    const td = make("td");
    const span = make("span", direction === null ? "" : "gain arrow", text);
    if (direction !== null) span.dataset.direction = direction;
    span.title = title;
    td.append(span);
    row.append(td);
  };
  const token = make("th", "", position.tokenSymbol);
  token.scope = "row";
  token.title = position.tokenAddress;
  row.append(token);
  cell(format.sol(position.totalInvestedSol), sol(position.totalInvestedSol));
  cell(`${format.sol(position.profitLossSol, format.signed)} SOL`, sol(position.profitLossSol), format.direction(position.profitLossSol));
  cell(format.percent(position.profitLossPercent, format.signed), `${position.profitLossPercent}%`);
  cell(position.closeReason ?? format.UNKNOWN);
  cell(format.moment(position.closedAt), position.closedAt);
  return row;
}
