/**
 * What to do when the socket closes: the table of close codes in docs/protocol.md.
 */

/**
 * The answers:
 * - `taken-over`: a newer socket owns this agent. Never reconnect unasked: two windows would fight forever.
 * - `unavailable`: this agent is not, or no longer, this user's.
 * - `renew`: reconnect with a new access token.
 * - `login`: try one new token; if that is refused as well, the user must log in.
 * - `refused`: the server asks clients not to reconnect.
 * - `retry`: reconnect, backing off.
 *
 * @typedef {"taken-over" | "unavailable" | "renew" | "login" | "refused" | "retry"} Answer
 * @type {Map<string, Answer>}
 */
const ANSWERS = new Map([
  ["1000 New connection established", "taken-over"],
  ["1008 Agent not found", "unavailable"],
  ["1008 Access revoked", "unavailable"],
  ["1008 Token expired", "renew"],
  ["1008 Authentication failed", "login"],
]);

/**
 * Judge a close event.
 *
 * @param {{code: number, reason: string}} event of the WebSocket.
 * @param {Wire.ClosingData | null} closing the server's last message, if it announced the close. Its code is also used
 *   where a proxy has lost the real one (1005, 1006).
 * @returns {{answer: Answer, reason: string, retryAfter: number}} wait at least `retryAfter` milliseconds.
 */
export function judge(event, closing) {
  const lost = event.code === 1005 || event.code === 1006;
  const { code, reason } = lost && closing ? closing : event;
  let answer = ANSWERS.get(`${code} ${reason}`);
  if (!answer) answer = closing?.reconnect === false ? "refused" : "retry";
  return { answer, reason: reason || "Connection lost", retryAfter: Number(closing?.retryAfter) || 0 };
}

export const BACKOFF_BASE_MS = 500;
export const BACKOFF_LIMIT_MS = 30_000;

/**
 * How long to wait before a try, in milliseconds: exponential back-off with full jitter, so that the clients of a
 * server that failed do not all return in the same second, on top of what the server asked for.
 *
 * @param {number} attempt how many tries have failed in a row, from 0.
 */
export function backoff(attempt, retryAfter = 0, random = Math.random) {
  return retryAfter + random() * Math.min(BACKOFF_LIMIT_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 20));
}
