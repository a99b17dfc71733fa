/**
 * What the REST API answers in pages, read to its end: lists, whose pages link to the next one, and series over time.
 *
 * @import { Session } from "./session.js"
 */

import { within } from "./base.js";

/**
 * The rows of a list, and how many it has in all: pages of it until there are `wanted` rows, or a few more.
 *
 * @param {Session} session
 * @param {string} first path
 * @param {AbortSignal} signal
 */
export async function listed(session, first, signal, wanted = Infinity) {
  /** @type {unknown[]} */
  const results = [];
  /** @type {string | null} */
  let path = first;
  let count = 0;
  while (path && results.length < wanted) {
    const page = /** @type {Wire.Page<unknown>} */ (await session.request(path, { signal }));
    count = page.count;
    results.push(...page.results);
    path = pathOf(page.next);
  }
  return { count, results };
}

/**
 * The path of a page's link to the next one.
 *
 * @param {string | null} next
 */
function pathOf(next) {
  /** @type {URL | null} */
  const url = next === null ? null : new URL(next, location.href);
  return url && within(url.pathname) + url.search;
}

/**
 * The rows of a series from `from` on, oldest first: all pages of it.
 *
 * @template T
 * @param {number} from milliseconds of the epoch
 * @param {(since: Wire.Timestamp) => Promise<{rows: T[], more: boolean}>} ask for the page that begins then
 * @param {(row: T) => Wire.Timestamp} timeOf
 */
export async function series(from, ask, timeOf) {
  /** @type {T[]} */
  const found = [];
  let [since, more] = [new Date(from).toISOString(), true];
  while (more) {
    const page = await ask(since);
    found.push(...page.rows);
    more = page.more && page.rows.length > 0;
    if (more) since = new Date(Date.parse(timeOf(page.rows[page.rows.length - 1])) + 1).toISOString();
  }
  return found;
}
