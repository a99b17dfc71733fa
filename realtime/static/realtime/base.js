/** Below which path this server's pages, API and socket are: "/", or "/nexgent/" where a project mounts them there. */
// Without a page (node, a worker) there is none to ask.
export const BASE = globalThis.document?.documentElement.dataset.base ?? "/";

/** The address of this server, with the path below which it is, without a slash at the end. */
export const here = () => new URL(BASE, location.href).href.slice(0, -1);

/**
 * The path on this server of one that begins below `BASE`: "/api/" may be "/nexgent/api/".
 *
 * @param {string} path
 */
export function at(path) {
  return BASE + path.slice(1);
}

/**
 * The opposite; null where the path is outside.
 *
 * @param {string} path
 */
export function within(path) {
  return path.startsWith(BASE) ? path.slice(BASE.length - 1) : null;
}

/**
 * The socket's address, by default on the server that this page came from.
 *
 * @param {string} token
 * @param {string} agentId
 * @param {number | null} lastSeq
 * @param {string | null} [ticket] stands in for the token.
 * @param {string} [epoch]
 * @param {{server?: string, watch?: boolean}} [where] the server's address, without a slash at the end; whether to
 *   watch the agent, or to own it.
 */
export function socketUrl(token, agentId, lastSeq, ticket = null, epoch = undefined, { server, watch = true } = {}) {
  const url = new URL(`${server ?? here()}/ws`);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set(ticket === null ? "token" : "ticket", ticket ?? token);
  url.searchParams.set("agentId", agentId);
  if (watch) url.searchParams.set("mode", "watch"); // beside the bot that owns the agent, and other windows
  if (lastSeq !== null) url.searchParams.set("lastSeq", String(lastSeq));
  if (lastSeq !== null && epoch !== undefined) url.searchParams.set("epoch", epoch);
  return url;
}
