/**
 * All agents at a glance: asked for every few seconds, since no socket is open for any of them here.
 *
 * @import { Figures } from "./money.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { Cells } from "./cells.js";
import { Decimal } from "./decimal.js";
import { around, byId, find, write } from "./dom.js";
import * as format from "./format.js";
import { inUsd, sumOf } from "./money.js";
import { pathOf } from "./navigation.js";
import { isAborted } from "./session.js";
import { Timers } from "./timers.js";
import * as times from "./times.js";

const EVERY_MS = 5_000;
const BESIDE_MS = 60_000; // while one agent is shown: only to learn of new ones
/** @type {Wire.Mode[]} */
const MODES = ["live", "simulation"];

export class Overview {
  #section = byId("overview");
  #template = byId("agent-row", HTMLTemplateElement);
  #session;
  #onAnswer;
  #onFailed;
  #timers = new Timers();
  /** @type {AbortController | null} from `start` to `stop` */
  #polling = null;
  #shown = false;
  /** @type {Wire.OverviewOnRest | null} */
  #answer = null;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {(agentId: string) => void} options.onOpen
   * @param {(agents: Wire.AgentOverviewOnRest[]) => void} options.onAnswer is called with every answer.
   * @param {(error: unknown) => void} options.onFailed is called where there is none; it is asked for again.
   */
  constructor({ session, onOpen, onAnswer, onFailed }) {
    this.#section.addEventListener("click", (event) => {
      const agentId = around(event, "tr")?.dataset.agentId;
      if (agentId && !around(event, "a") && !getSelection()?.toString()) onOpen(agentId);
    });
    this.#session = session;
    this.#onAnswer = onAnswer;
    this.#onFailed = onFailed;
  }

  /** Begin to ask, until `stop`; returns when the first answer, or failure, has come. */
  start() {
    this.stop();
    this.#polling = new AbortController();
    const { signal } = this.#polling;
    document.addEventListener("visibilitychange", () => document.hidden || this.#poll(signal), { signal });
    return this.#poll(signal);
  }

  /** Stop asking, and forget everything. */
  stop() {
    this.#polling?.abort();
    this.#polling = this.#answer = null;
    this.#timers.cancelAll();
    this.show(false);
  }

  /** @param {boolean} shown */
  show(shown) {
    const begins = shown && !this.#shown;
    this.#shown = shown;
    this.#section.hidden = !shown;
    if (!shown) return;
    this.#draw();
    if (begins && this.#polling && this.#answer) this.refresh();
  }

  /** Ask now. */
  refresh() {
    return this.#polling && this.#poll(this.#polling.signal);
  }

  /** @param {AbortSignal} signal */
  async #poll(signal) {
    this.#timers.cancel("poll");
    if (!document.hidden || this.#answer === null) {
      try {
        this.#answer = await api.overview(this.#session, signal);
        this.#onAnswer(this.#answer.agents);
        if (this.#shown) this.#draw();
      } catch (error) {
        if (isAborted(error)) return;
        this.#onFailed(error);
      }
    }
    if (signal.aborted) return;
    this.#timers.set("poll", this.#shown ? EVERY_MS : BESIDE_MS, () => this.#poll(signal));
  }

  #draw() {
    const { agents = [], solPriceUsd = null, timestamp = null } = this.#answer ?? {};
    for (const mode of MODES) this.#drawMode(mode, agents, solPriceUsd);
    write("overview-updated", timestamp ? `Updated ${times.clock(timestamp)}` : "");
  }

  /**
   * @param {Wire.Mode} mode
   * @param {Wire.AgentOverviewOnRest[]} agents
   * @param {Wire.Digits | null} solUsd
   */
  #drawMode(mode, agents, solUsd) {
    const table = byId(`overview-${mode}`);
    const rows = agents.flatMap((agent) => {
      const totals = agent.modes.find((each) => each.mode === mode);
      // One that has traded nothing yet is listed where it would trade.
      const isListed = totals !== undefined || (agent.modes.length === 0 && agent.tradingMode === mode);
      return isListed ? [{ agent, totals: totals ?? nothing(mode) }] : [];
    });
    table.hidden = rows.length === 0;
    const ranked = rows.filter(({ totals }) => totals.openPositions > 0);
    ranked.sort((a, b) => compare(b.totals.profitLossPercent, a.totals.profitLossPercent));
    const [best, worst] = ranked.length > 1 ? [ranked[0].agent.id, ranked.at(-1)?.agent.id] : [];
    const body = find(table, "tbody", HTMLTableSectionElement);
    const known = new Map([...body.rows].map((row) => [row.dataset.agentId, row]));
    const elements = rows.map(({ agent, totals }) => {
      const row = known.get(agent.id) ?? this.#row(agent.id);
      const rank = agent.id === best ? "best" : agent.id === worst ? "worst" : "";
      showAgent(new Cells(row), agent, totals, rank, solUsd);
      return row;
    });
    if (elements.some((row, index) => body.rows[index] !== row) || body.rows.length !== elements.length) {
      body.replaceChildren(...elements);
    }
    const sums = find(table, "tfoot", HTMLTableSectionElement);
    sums.hidden = rows.length < 2;
    showFigures(new Cells(sums), sumOf(rows.map(({ totals }) => totals)), solUsd);
  }

  /** @param {string} agentId */
  #row(agentId) {
    const row = /** @type {HTMLTableRowElement} */ (this.#template.content.firstElementChild?.cloneNode(true));
    row.dataset.agentId = agentId;
    find(row, "a", HTMLAnchorElement).href = pathOf(agentId);
    return row;
  }
}

/**
 * @param {Cells} cells
 * @param {Wire.AgentOverviewOnRest} agent
 * @param {Wire.ModeTotalsOnRest} totals
 * @param {"best" | "worst" | ""} rank among the agents of this mode, by return
 * @param {Wire.Digits | null} solUsd
 */
function showAgent(cells, agent, totals, rank, solUsd) {
  cells.set("name", agent.name);
  const bot = agent.connected ? "Bot connected" : "No bot connected";
  cells.set("connected", agent.connected === null ? "" : bot);
  cells.put("connected", "data-connected", String(agent.connected));
  cells.hide("rank", rank === "");
  cells.set("rank", rank, rank && `The ${rank} of these agents by return`);
  cells.put("rank", "data-kind", rank);
  showFigures(cells, totals, solUsd);
  const notLive = totals.positionsNotLive;
  cells.set("not-live", notLive ? `${notLive} not live` : "", notLive ? "The last known prices count" : "");
  showRanked(cells, agent.id, "best", totals.best);
  showRanked(cells, agent.id, "worst", totals.worst?.positionId === totals.best?.positionId ? null : totals.worst);
}

/**
 * @param {Cells} cells
 * @param {Figures} totals
 * @param {Wire.Digits | null} solUsd
 */
function showFigures(cells, totals, solUsd) {
  cells.set("count", String(totals.openPositions));
  cells.pair("value", totals.positionValueSol, inUsd(totals.positionValueSol, solUsd));
  cells.gain("profit", totals.profitLossSol, inUsd(totals.profitLossSol, solUsd));
  const percent = totals.profitLossPercent;
  cells.set("return", format.percent(percent, format.signed), `${percent}% of all that was invested`);
  cells.mark("return", percent);
  cells.gain("today", totals.todaySol, inUsd(totals.todaySol, solUsd));
}

/**
 * @param {Cells} cells
 * @param {string} agentId
 * @param {"best" | "worst"} which
 * @param {Wire.RankedOnRest | null} ranked
 */
function showRanked(cells, agentId, which, ranked) {
  cells.hide(`${which}-link`, ranked === null);
  cells.set(`${which}-return`, ranked ? format.percent(ranked.profitLossPercent, format.signed) : format.UNKNOWN);
  cells.mark(`${which}-return`, ranked?.profitLossPercent ?? null);
  if (!ranked) return;
  cells.set(`${which}-link`, ranked.tokenSymbol);
  cells.put(`${which}-link`, "href", pathOf(agentId, ranked.positionId));
}

/**
 * @param {Wire.Digits} a
 * @param {Wire.Digits} b
 */
const compare = (a, b) => Decimal.of(a).compare(Decimal.of(b));

/**
 * The totals of an agent that has traded nothing.
 *
 * @param {Wire.Mode} mode
 * @returns {Wire.ModeTotalsOnRest}
 */
const nothing = (mode) => ({
  mode,
  openPositions: 0,
  positionsNotLive: 0,
  positionValueSol: "0",
  unrealizedSol: "0",
  realizedSol: "0",
  investedSol: "0",
  profitLossSol: "0",
  profitLossPercent: "0",
  todaySol: "0",
  since: null,
  best: null,
  worst: null,
});
