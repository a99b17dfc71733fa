/**
 * The REST API, as far as the page uses it. All throw LoginRequired or RequestFailed; those with a `signal` stop with
 * it.
 *
 * @import { Session } from "./session.js"
 */

import { listed, series } from "./pagination.js";
import { RequestFailed } from "./session.js";

const LARGEST_PAGE = 500;
const MOST_POINTS = 2000; // of history, at once

/**
 * All agents of the user, with their totals. A server of an earlier release names the agents only.
 *
 * @param {Session} session
 * @param {AbortSignal} signal
 * @returns {Promise<Wire.OverviewOnRest>}
 */
export async function overview(session, signal) {
  try {
    return /** @type {Wire.OverviewOnRest} */ (await session.request("/api/overview/", { signal }));
  } catch (error) {
    if (!(error instanceof RequestFailed) || error.status !== 404) throw error;
  }
  const { results: rows } = await listed(session, "/api/agents/", signal);
  const agents = /** @type {Wire.AgentOnRest[]} */ (rows);
  const named = agents.map(({ id, name, tradingMode }) => ({ id, name, tradingMode, connected: null, modes: [] }));
  return { timestamp: new Date().toISOString(), solPriceUsd: null, agents: named };
}

/**
 * Which money each wallet of the agent holds, by address.
 *
 * @param {Session} session
 * @param {string} agentId
 * @param {AbortSignal} signal
 */
export async function walletModes(session, agentId, signal) {
  const path = `/api/wallets/?agent=${agentId}&limit=${LARGEST_PAGE}`;
  const { results: rows } = await listed(session, path, signal);
  const wallets = /** @type {Wire.WalletOnRest[]} */ (rows);
  return new Map(wallets.map(({ address, kind }) => [address, kind]));
}

/**
 * The prices of the user's tokens, with the state of the price feed.
 *
 * @param {Session} session
 * @param {AbortSignal} signal
 */
export async function prices(session, signal) {
  return /** @type {Wire.PricesOnRest} */ (await session.request("/api/prices/", { signal }));
}

/**
 * The agent's profit with closed positions, and what today's change is counted from.
 *
 * @param {Session} session
 * @param {string} agentId
 * @param {AbortSignal} signal
 */
export async function results(session, agentId, signal) {
  return /** @type {Wire.ResultsOnRest} */ (await session.request(`/api/agents/${agentId}/results/`, { signal }));
}

/**
 * A position, open or closed.
 *
 * @param {Session} session
 * @param {string} id
 * @param {AbortSignal} signal
 */
export async function position(session, id, signal) {
  return /** @type {Wire.PositionOnRest} */ (await session.request(`/api/positions/${id}/`, { signal }));
}

/**
 * Closed positions, the last closed first: this many, by pages of the largest size that the server gives.
 *
 * @param {Session} session
 * @param {string} agentId
 * @param {number} wanted
 * @param {AbortSignal} signal
 */
export async function closedPositions(session, agentId, wanted, signal) {
  const size = Math.min(wanted, LARGEST_PAGE);
  const path = `/api/positions/?agent=${agentId}&status=closed&ordering=-closedAt&limit=${size}`;
  const { count, results: rows } = await listed(session, path, signal, wanted);
  const found = /** @type {Wire.PositionOnRest[]} */ (rows);
  return { count, results: found.slice(0, wanted) };
}

/**
 * The agent's events after number `after`, oldest first.
 *
 * @param {Session} session
 * @param {string} agentId
 * @param {{after: number, limit?: number, signal: AbortSignal}} options
 */
export async function events(session, agentId, { after, limit = LARGEST_PAGE, signal }) {
  const path = `/api/agents/${agentId}/events/?after=${after}&limit=${limit}`;
  return /** @type {{events: Wire.EventOnRest[]}} */ (await session.request(path, { signal })).events;
}

/**
 * The newest events of a position, oldest first; `more` where it has older ones, too.
 *
 * @param {Session} session
 * @param {{agentId: string, positionId: string}} place
 * @param {AbortSignal} signal
 */
export async function newestEvents(session, { agentId, positionId }, signal) {
  const span = `before=${Number.MAX_SAFE_INTEGER}&limit=${LARGEST_PAGE}`;
  const answer = await session.request(`/api/agents/${agentId}/events/?${span}&position=${positionId}`, { signal });
  const { events: found, more } = /** @type {{events: Wire.EventOnRest[], more: boolean}} */ (answer);
  return { events: found.reverse(), more };
}

/**
 * All events of the agent, oldest first.
 *
 * @param {Session} session
 * @param {string} agentId
 * @param {AbortSignal} signal
 */
export async function allEvents(session, agentId, signal) {
  /** @type {Wire.EventOnRest[]} */
  const found = [];
  let [after, more] = [0, true];
  while (more) {
    const path = `/api/agents/${agentId}/events/?after=${after}&limit=${LARGEST_PAGE}`;
    const page = /** @type {{events: Wire.EventOnRest[], lastSeq: number, more: boolean}} */ (
      await session.request(path, { signal })
    );
    found.push(...page.events);
    [after, more] = [page.lastSeq, page.more];
  }
  return found;
}

/**
 * The candles of a token from `from` on, before `to`, oldest first: all pages of them.
 *
 * @param {Session} session
 * @param {string} token
 * @param {{interval: "1m" | "1h", from: number, to: number}} span milliseconds of the epoch
 * @param {AbortSignal} signal
 */
export async function candles(session, token, { interval, from, to }, signal) {
  const rest = `to=${new Date(to).toISOString()}&limit=${MOST_POINTS}`;
  /** @param {Wire.Timestamp} since */
  const ask = async (since) => {
    const path = `/api/prices/${token}/candles/?interval=${interval}&from=${since}&${rest}`;
    const page = /** @type {Wire.CandlesOnRest} */ (await session.request(path, { signal }));
    return { rows: page.candles, more: page.more };
  };
  return series(from, ask, ({ start }) => start);
}

/**
 * The value of an agent's positions from `from` on, oldest first: all pages of it. With a `mode` only in its wallets.
 *
 * @param {Session} session
 * @param {string} agentId
 * @param {{interval: "1m" | "1h", from: number, mode: Wire.Mode | null}} span milliseconds of the epoch
 * @param {AbortSignal} signal
 */
export async function valueHistory(session, agentId, { interval, from, mode }, signal) {
  const rest = `limit=${MOST_POINTS}${mode ? `&mode=${mode}` : ""}`;
  /** @param {Wire.Timestamp} since */
  const ask = async (since) => {
    const path = `/api/agents/${agentId}/value-history/?interval=${interval}&from=${since}&${rest}`;
    const page = /** @type {Wire.ValueHistoryOnRest} */ (await session.request(path, { signal }));
    return { rows: page.points, more: page.more };
  };
  return series(from, ask, ({ timestamp }) => timestamp);
}

/**
 * The trades of a position, oldest first.
 *
 * @param {Session} session
 * @param {string} id
 * @param {AbortSignal} signal
 */
export async function tradesOf(session, id, signal) {
  const path = `/api/positions/${id}/trades/?ordering=executedAt&limit=${LARGEST_PAGE}`;
  return /** @type {Wire.TradeOnRest[]} */ ((await listed(session, path, signal)).results);
}

/**
 * All trades of the agent, oldest first.
 *
 * @param {Session} session
 * @param {string} agentId
 * @param {AbortSignal} signal
 */
export async function trades(session, agentId, signal) {
  const path = `/api/trades/?agent=${agentId}&ordering=executedAt&limit=${LARGEST_PAGE}`;
  return /** @type {Wire.TradeOnRest[]} */ ((await listed(session, path, signal)).results);
}

/**
 * Sell: without `proceedsSol` at the market price that the server knows, and only if exactly `held` is held. With the
 * same `key` again: once.
 *
 * @param {Session} session
 * @param {string} id
 * @param {import("./sell-dialog.js").Sale & { planned: boolean }} sale `planned`: whether its take-profits are; a sale
 *   by hand hits none of their levels
 * @param {string} key
 */
export function sell(session, id, { tokens, all, held, proceedsSol, why, planned }, key) {
  const terms = { proceedsSol, heldAmount: held };
  const part = { ...terms, tokens, note: why, levels: planned ? 0 : undefined };
  const [verb, body] = all ? ["close", { ...terms, reason: why }] : ["take-profit", part];
  return session.request(`/api/positions/${id}/${verb}/`, { method: "POST", body, key });
}

/**
 * Move the stop loss to `percentage` of the average cost; null removes it. `note`: why. With the same `key`
 * again: once.
 *
 * @param {Session} session
 * @param {string} id
 * @param {import("./stop-dialog.js").Move} move
 * @param {string} key
 */
export const moveStopLoss = (session, id, { percentage, note }, key) =>
  session.request(`/api/positions/${id}/stop-loss/`, { method: "POST", body: { percentage, note }, key });
