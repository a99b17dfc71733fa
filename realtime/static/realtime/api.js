/**
 * What the page asks of the REST API, as the user of a session. All throw LoginRequired or RequestFailed.
 */

/** The user's agents, all pages of them. */
export async function agents(session) {
  const found = [];
  let path = "/api/agents/";
  while (path) {
    const page = await session.request(path);
    found.push(...page.results);
    const next = page.next && new URL(page.next, location.href);
    path = next ? next.pathname + next.search : null;
  }
  return found;
}

/** Where prices come from and how old each is: `{source, simulated, stale, solPriceUsd, updatedAt, prices, …}`. */
export const prices = (session) => session.request("/api/prices/");

/** What the agent has earned with closed positions, and what today's change is counted from. */
export const results = (session, agentId) => session.request(`/api/agents/${agentId}/results/`);

/** Closed positions, the last closed first: `{count, results}`. */
export const closedPositions = (session, agentId, { limit, offset = 0 }) =>
  session.request(`/api/positions/?agent=${agentId}&status=closed&ordering=-closedAt&limit=${limit}&offset=${offset}`);

/** The agent's events after number `after`, oldest first; of one position only, where it is named. */
export async function events(session, agentId, { after = 0, limit = 500, positionId } = {}) {
  const position = positionId ? `&position=${positionId}` : "";
  return (await session.request(`/api/agents/${agentId}/events/?after=${after}&limit=${limit}${position}`)).events;
}

/** Sell all that is left, at the market price that the server knows. */
export const closePosition = (session, id) =>
  session.request(`/api/positions/${id}/close/`, { method: "POST", body: { reason: "manual" } });

/** `percentage` of the average cost, as digits. */
export const moveStopLoss = (session, id, percentage) =>
  session.request(`/api/positions/${id}/stop-loss/`, { method: "POST", body: { percentage } });
