/**
 * Who is logged in. The refresh token is in a cookie that no script can read (positions/accounts/session_views.py);
 * the access token is in memory only, and gone with the page.
 *
 * What was awaited for a user who has logged out, or in again, rejects with an AbortError (`isAborted`): nothing
 * follows.
 */

import { at } from "./base.js";
import { LoginRequired } from "./nexgent.js";
import { recall, remember } from "./preferences.js";
import { parse } from "./wire.js";

const REQUEST_LIMIT_MS = 15_000;
const RENEW_BEFORE_MS = 30_000;
const ASK_AGAIN_AFTER_MS = 1_000;
const OPEN = "session"; // stored from a log-in to the log-out

/**
 * @typedef {object} Request
 * @property {string} [method]
 * @property {object} [body]
 * @property {string} [key] names a write, so that the server does it once, however often this is sent
 * @property {AbortSignal} [signal]
 */

/** The server refused, or could not be reached (`status` 0). The message can be shown to the user. */
export class RequestFailed extends Error {
  /** @param {string} message */
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/**
 * Whether what was awaited is no longer wanted.
 *
 * @param {unknown} error
 */
export const isAborted = (error) => error instanceof DOMException && error.name === "AbortError";

export class Session {
  /** @type {string | null} */
  #access = null;
  #renewAt = 0;
  /** @type {Promise<string> | null} one at a time, shared by all who wait */
  #renewal = null;
  #user = new AbortController(); // one for each log-in and log-out; ends what was awaited for the one before

  /** @type {string | null} null where nobody is logged in, as far as this page knows */
  username = null;
  isStaff = false;

  /**
   * Log in. Throws RequestFailed, with status 401 where name or password is wrong.
   *
   * @param {string} username
   * @param {string} password
   */
  async login(username, password) {
    const { signal } = this.#change();
    const answer = await send("/api/session/", { method: "POST", body: { username, password }, signal });
    this.#keep(/** @type {Wire.Session} */ (answer));
  }

  /**
   * Resume the session that this browser has. Returns whether there is one. Throws RequestFailed, and LoginRequired if
   * it has ended without a log-out, even if another window, or this one before it was reloaded, got that answer first:
   * the answer clears the cookie.
   */
  async resume() {
    const answer = await this.#ask(this.#user.signal);
    if (answer) this.#keep(answer);
    else if (recall(OPEN)) throw new LoginRequired("This session has ended.");
    return answer !== null;
  }

  /** Log out, here and on the server. Throws RequestFailed if the server could not be notified. */
  async logout() {
    this.forget();
    remember(OPEN, "");
    await send("/api/session/", { method: "DELETE" });
  }

  /** Forget the user, without notifying the server. */
  forget() {
    this.#change();
    this.#access = this.#renewal = this.username = null;
  }

  /**
   * An access token that is valid for a while; a new one where `fresh`. Throws LoginRequired or RequestFailed.
   *
   * @type {Client.TokenSource}
   */
  async token({ fresh }) {
    if (this.#access !== null && !fresh && performance.now() < this.#renewAt) return this.#access;
    return this.#renew();
  }

  /**
   * Call the REST API, as this user; what has a key, once more where no answer came. Throws LoginRequired or
   * RequestFailed.
   *
   * @param {string} path
   * @param {Request} [request]
   */
  async request(path, request = {}) {
    const { signal } = this.#user;
    try {
      return await this.#request(path, request);
    } catch (error) {
      if (!request.key || !(error instanceof RequestFailed) || error.status !== 0) throw error;
    }
    await new Promise((resume) => {
      setTimeout(resume, ASK_AGAIN_AFTER_MS);
    });
    signal.throwIfAborted();
    return this.#request(path, request);
  }

  /**
   * @param {string} path
   * @param {Request} request
   */
  async #request(path, request) {
    const signal = AbortSignal.any([this.#user.signal, ...(request.signal ? [request.signal] : [])]);
    /** @param {boolean} fresh */
    const attempt = async (fresh) => {
      const token = await this.token({ fresh });
      signal.throwIfAborted();
      return send(path, { ...request, token, signal });
    };
    try {
      return await attempt(false);
    } catch (error) {
      if (!isRefused(error)) throw error;
    }
    try {
      return await attempt(true);
    } catch (error) {
      throw isRefused(error) ? new LoginRequired(error.message) : error;
    }
  }

  #change() {
    this.#user.abort();
    this.#user = new AbortController();
    return this.#user;
  }

  #renew() {
    if (this.#renewal) return this.#renewal;
    const renewal = this.#fetchAccess().finally(() => {
      if (this.#renewal === renewal) this.#renewal = null;
    });
    this.#renewal = renewal;
    return renewal;
  }

  async #fetchAccess() {
    if (this.username === null) throw new LoginRequired("No user is logged in");
    const answer = await this.#ask(this.#user.signal);
    // Logged out in another window, perhaps, or logged in as someone else.
    if (answer?.username !== this.username) throw new LoginRequired("Logged out");
    return this.#keep(answer);
  }

  /** @param {AbortSignal} signal */
  async #ask(signal) {
    try {
      const answer = await send("/api/session/refresh/", { method: "POST", signal });
      return /** @type {Wire.Session | null} */ (answer);
    } catch (error) {
      throw isRefused(error) ? new LoginRequired(error.message) : error;
    }
  }

  /** @param {Wire.Session} answer */
  #keep({ access, username, isStaff = false }) {
    remember(OPEN, "open");
    this.username = username;
    this.isStaff = isStaff;
    this.#access = access;
    this.#renewAt = performance.now() + lifetime(access) - RENEW_BEFORE_MS;
    return access;
  }
}

/**
 * @param {unknown} error
 * @returns {error is RequestFailed}
 */
const isRefused = (error) => error instanceof RequestFailed && error.status === 401;

/**
 * Milliseconds for which a new token is valid, by its own claims: no need for the two clocks to agree.
 *
 * @param {string} token
 */
function lifetime(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const { exp, iat } = JSON.parse(atob(payload));
  return (exp - iat) * 1000;
}

/**
 * Returns the answer, null where it is empty.
 *
 * @param {string} path
 * @param {Request & {token?: string}} request
 */
async function send(path, { method = "GET", token, body, key, signal }) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  else headers["X-CSRFToken"] = csrfToken(); // where the cookie is the credential
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  let response, text;
  try {
    response = await fetch(at(path), {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      keepalive: method !== "GET", // sent even if the window is closed now
      signal: AbortSignal.any([AbortSignal.timeout(REQUEST_LIMIT_MS), ...(signal ? [signal] : [])]),
    });
    text = await response.text();
  } catch {
    signal?.throwIfAborted();
    throw new RequestFailed("The server cannot be reached.");
  }
  signal?.throwIfAborted();
  let answer = null;
  try {
    answer = text ? parse(text) : null;
  } catch {
    if (response.ok) throw new RequestFailed("The server's answer is not valid JSON.", response.status);
  }
  if (!response.ok) {
    const problem = complaint(answer) ?? `The server answered with status ${response.status}.`;
    throw new RequestFailed(problem, response.status);
  }
  return answer;
}

function csrfToken() {
  return /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie)?.[1] ?? "";
}

/**
 * What the API says is wrong: `{detail}`, or `{errors: {field: [sentence, …]}}`.
 *
 * @param {{detail?: unknown, errors?: Record<string, string[]>} | null} answer
 */
function complaint(answer) {
  if (typeof answer?.detail === "string") return answer.detail;
  const sentences = Object.entries(answer?.errors ?? {}).map(([field, messages]) => `${field}: ${messages.join(" ")}`);
  return sentences.length ? sentences.join(" ") : undefined;
}
