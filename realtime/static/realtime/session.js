/**
 * Who is logged in. The refresh token lies in a cookie that no script can read (positions/accounts/session_views.py); the access
 * token lives in memory only, and is gone with the page.
 */

import { LoginRequired } from "./nexgent.js";
import { recall, remember } from "./preferences.js";
import { parse } from "./wire.js";

const REQUEST_LIMIT_MS = 15_000;
const RENEW_BEFORE_MS = 30_000;
const OPEN = "session"; // remembered from a log-in to the log-out

/** The server refused, or could not be reached (`status` 0). The message is fit for the user. */
export class RequestFailed extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export class Session {
  #access = null;
  #renewAt = 0;
  #renewal = null; // one at a time, shared by all who wait
  #abort = new AbortController(); // what was asked for a user who is gone is not waited for
  #generation = 0; // counts log-ins and log-outs: an answer of the one before is nobody's any more

  /** The user's name; null where nobody is logged in, as far as this page knows. */
  username = null;

  /** Log in. Throws RequestFailed, status 401 where name or password is wrong. */
  async login(username, password) {
    const generation = ++this.#generation;
    const answer = await send("/api/session/", { method: "POST", body: { username, password } });
    if (generation === this.#generation) this.#keep(answer);
  }

  /**
   * Go on with the session that this browser has. Returns whether there is one. Throws RequestFailed, and LoginRequired
   * where it has ended without the user's logging out, also where another window, or this one before it was reloaded,
   * was told first: the cookie goes with the answer.
   */
  async resume() {
    const answer = await this.#ask();
    if (answer) this.#keep(answer);
    else if (recall(OPEN)) throw new LoginRequired("This session has ended.");
    return Boolean(answer);
  }

  /** Log out, here and on the server. Throws RequestFailed where the server does not hear of it. */
  async logout() {
    this.forget();
    remember(OPEN, null);
    await send("/api/session/", { method: "DELETE" });
  }

  /** Know nobody any more, without a word to the server. */
  forget() {
    this.#generation += 1;
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#access = this.#renewal = this.username = null;
  }

  /** An access token that still holds for a while; a new one where `fresh`. Throws LoginRequired or RequestFailed. */
  async token({ fresh = false } = {}) {
    if (this.#access === null || fresh || performance.now() >= this.#renewAt) await this.#renew();
    return this.#access;
  }

  /** Ask the REST API, as this user. Throws LoginRequired or RequestFailed. */
  async request(path, options = {}) {
    try {
      return await send(path, { ...options, token: await this.token(), signal: this.#abort.signal });
    } catch (error) {
      if (error.status !== 401) throw error;
    }
    const token = await this.token({ fresh: true });
    try {
      return await send(path, { ...options, token, signal: this.#abort.signal });
    } catch (error) {
      throw error.status === 401 ? new LoginRequired(error.message) : error;
    }
  }

  #renew() {
    this.#renewal ??= this.#fetchAccess().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #fetchAccess() {
    const generation = this.#generation;
    if (this.username === null) throw new LoginRequired("Nobody is logged in");
    const answer = await this.#ask();
    // Logged out, in another window perhaps, or in as someone else.
    if (generation !== this.#generation || answer?.username !== this.username) throw new LoginRequired("Logged out");
    this.#keep(answer);
  }

  async #ask() {
    try {
      return await send("/api/session/refresh/", { method: "POST" });
    } catch (error) {
      throw error.status === 401 ? new LoginRequired(error.message) : error;
    }
  }

  #keep({ access, username }) {
    remember(OPEN, "open");
    this.username = username;
    this.#access = access;
    this.#renewAt = performance.now() + lifetime(access) - RENEW_BEFORE_MS;
  }
}

/** Milliseconds for which a new token holds, by its own word: no need for the two clocks to agree. */
function lifetime(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const { exp, iat } = JSON.parse(atob(payload));
  return (exp - iat) * 1000;
}

/** Returns the answer, null where it is empty. */
async function send(path, { method = "GET", token, body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  else headers["X-CSRFToken"] = csrfToken(); // where the cookie acts
  if (body) headers["Content-Type"] = "application/json";
  let response, text;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      keepalive: method !== "GET", // a window that is closed now has said it all the same
      signal: AbortSignal.any([AbortSignal.timeout(REQUEST_LIMIT_MS), ...(signal ? [signal] : [])]),
    });
    text = await response.text();
  } catch {
    throw new RequestFailed("The server cannot be reached.");
  }
  let answer = null;
  try {
    answer = text && parse(text);
  } catch {
    if (response.ok) throw new RequestFailed("The server's answer cannot be read.", response.status);
  }
  if (!response.ok) {
    throw new RequestFailed(complaint(answer) ?? `The server answers ${response.status}.`, response.status);
  }
  return answer || null;
}

function csrfToken() {
  return /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie)?.[1] ?? "";
}

/** What the API says is wrong: `{detail}`, or `{errors: {field: [sentence, …]}}`. */
function complaint(answer) {
  if (typeof answer?.detail === "string") return answer.detail;
  const sentences = Object.entries(answer?.errors ?? {}).map(([field, messages]) => `${field}: ${messages.join(" ")}`);
  return sentences.length ? sentences.join(" ") : undefined;
}
