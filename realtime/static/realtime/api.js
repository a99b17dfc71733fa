/**
 * The REST API, as far as the page uses it. All throw LoginRequired or RequestFailed; those with a `signal` stop with
 * it.
 *
 * @import { Session } from "./session.js"
 */

/**
 * The user's agents, all pages of them.
 *
 * @param {Session} session
 */
export async function agents(session) {
  /** @type {Wire.AgentOnRest[]} */
  const found = [];
  /** @type {string | null} */
  let path = "/api/agents/";
  while (path) {
    const page = /** @type {Wire.Page<Wire.AgentOnRest>} */ (await session.request(path));
    found.push(...page.results);
    /** @type {URL | null} */
    const next = page.next === null ? null : new URL(page.next, location.href);
    path = next && next.pathname + next.search;
  }
  return found;
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
 * Closed positions, the last closed first.
 *
 * @param {Session} session
 * @param {string} agentId
 * @param {number} limit
 * @param {AbortSignal} signal
 */
export async function closedPositions(session, agentId, limit, signal) {
  const path = `/api/positions/?agent=${agentId}&status=closed&ordering=-closedAt&limit=${limit}`;
  return /** @type {Wire.Page<Wire.PositionOnRest>} */ (await session.request(path, { signal }));
}

/**
 * The agent's events after number `after`, oldest first; of one position only, where it is named.
 *
 * @param {Session} session
 * @param {string} agentId
 * @param {{after?: number, limit?: number, positionId?: string, signal: AbortSignal}} options
 */
export async function events(session, agentId, { after = 0, limit = 500, positionId, signal }) {
  const position = positionId ? `&position=${positionId}` : "";
  const path = `/api/agents/${agentId}/events/?after=${after}&limit=${limit}${position}`;
  return /** @type {{events: Wire.EventOnRest[]}} */ (await session.request(path, { signal })).events;
}

/**
 * Sell everything that is left: for `proceedsSol`, or without it at the market price that the server knows. With the
 * same `key` again: once.
 *
 * @param {Session} session
 * @param {string} id
 * @param {Wire.Digits | undefined} proceedsSol
 * @param {string} key
 */
export const closePosition = (session, id, proceedsSol, key) =>
  session.request(`/api/positions/${id}/close/`, { method: "POST", body: { reason: "manual", proceedsSol }, key });

/**
 * Move the stop loss to `percentage` of the average cost. With the same `key` again: once.
 *
 * @param {Session} session
 * @param {string} id
 * @param {Wire.Digits} percentage
 * @param {string} key
 */
export const moveStopLoss = (session, id, percentage, key) =>
  session.request(`/api/positions/${id}/stop-loss/`, { method: "POST", body: { percentage }, key });
