/**
 * The REST API, and the tokens that open it.
 */

import { parse } from "./wire.js";

const REQUEST_LIMIT_MS = 15_000;
const RENEW_BEFORE_MS = 30_000;
const STORAGE_KEY = "nexgent.refresh";

/** No token to be had without the user. */
export class LoginRequired extends Error {}

/** The server refused, or could not be reached (`status` 0). The message is fit for the user. */
export class RequestFailed extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/**
 * One user's tokens. The access token lives in memory only.
 *
 * The refresh token lies in sessionStorage, which a script of this origin can read: the page's content security
 * policy lets no other script in. An HttpOnly cookie, out of any script's reach, is to replace it.
 */
export class Session {
  #access = null;
  #renewAt = 0;
  #renewal = null; // one at a time, shared by all who wait

  /** Whether someone is logged in, as far as this page knows. */
  get remembered() {
    return sessionStorage.getItem(STORAGE_KEY) !== null;
  }

  /** Log in. Throws RequestFailed, status 401 where name or password is wrong. */
  async login(username, password) {
    this.#keep(await request("/api/token/", { body: { username, password } }));
  }

  forget() {
    this.#access = this.#renewal = null;
    sessionStorage.removeItem(STORAGE_KEY);
  }

  /** An access token that still holds for a while. Throws LoginRequired or RequestFailed. */
  async access() {
    if (this.#access === null || performance.now() >= this.#renewAt) await this.renew();
    return this.#access;
  }

  /** Fetch a new access token, whatever the old one is worth. Throws LoginRequired or RequestFailed. */
  renew() {
    this.#renewal ??= this.#fetchAccess().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  /** The user's agents, all pages of them. */
  async agents() {
    const agents = [];
    let path = "/api/agents/";
    while (path) {
      const page = await this.#get(path);
      agents.push(...(page.results ?? page));
      const next = page.next && new URL(page.next, location.href);
      path = next ? next.pathname + next.search : null;
    }
    return agents;
  }

  /** Where prices come from: `{source, simulated, stale, solPriceUsd, updatedAt, …}`. */
  prices() {
    return this.#get("/api/prices/");
  }

  async #get(path) {
    try {
      return await request(path, { token: await this.access() });
    } catch (error) {
      if (error.status !== 401) throw error;
    }
    await this.renew();
    try {
      return await request(path, { token: this.#access });
    } catch (error) {
      throw error.status === 401 ? new LoginRequired(error.message) : error;
    }
  }

  async #fetchAccess() {
    const refresh = sessionStorage.getItem(STORAGE_KEY);
    if (refresh === null) throw new LoginRequired("Nobody is logged in");
    let answer;
    try {
      answer = await request("/api/token/refresh/", { body: { refresh } });
    } catch (error) {
      // 400: the token is not even one.
      throw error.status === 401 || error.status === 400 ? new LoginRequired(error.message) : error;
    }
    // Logged out, or in as someone else, in the meantime: this answer is nobody's any more.
    if (sessionStorage.getItem(STORAGE_KEY) !== refresh) throw new LoginRequired("Logged out");
    this.#keep(answer);
  }

  #keep({ access, refresh }) {
    if (refresh) sessionStorage.setItem(STORAGE_KEY, refresh);
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

async function request(path, { token, body } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  let response, text;
  try {
    response = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
    });
    text = await response.text();
  } catch {
    throw new RequestFailed("The server cannot be reached.");
  }
  let answer = null;
  try {
    answer = parse(text);
  } catch {
    if (response.ok) throw new RequestFailed("The server's answer cannot be read.", response.status);
  }
  if (!response.ok) {
    throw new RequestFailed(complaint(answer) ?? `The server answers ${response.status}.`, response.status);
  }
  return answer;
}

/** What the API says is wrong: `{detail}`, or `{errors: {field: [sentence, …]}}`. */
function complaint(answer) {
  if (typeof answer?.detail === "string") return answer.detail;
  const sentences = Object.entries(answer?.errors ?? {}).map(([field, messages]) => `${field}: ${messages.join(" ")}`);
  return sentences.length ? sentences.join(" ") : undefined;
}
