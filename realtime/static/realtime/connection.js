/**
 * One agent's live connection, kept up for as long as that is right.
 */

import { LoginRequired } from "./api.js";
import { backoff, judge } from "./close-codes.js";
import { parse } from "./wire.js";

const HANDSHAKE_LIMIT_MS = 15_000; // from opening to `initial_data`
const PROBE_LIMIT_MS = 5_000;
const DEFAULT_PING_INTERVAL_MS = 30_000;
// A connection that lasted this long counts as a success: only then does the back-off start over.
const STABLE_AFTER_MS = 10_000;

/**
 * States, as `onState({name, …})` hears them:
 * - `idle`: nothing is wanted.
 * - `connecting`, `again` where the last try or connection has failed.
 * - `live`: `initial_data` is here, and everything since.
 * - `waiting`, with `seconds` to the next try and the `reason` of the last failure; once a second.
 * - `offline`: the browser has lost its network; the next try comes with the network.
 * - `taken-over`: another window has this agent now. `connect` takes it back.
 * - `unavailable` (not this user's agent any more) and `refused`, with `reason`: no further try.
 * - `logged-out`: no token to be had without the user.
 */
export class Connection {
  #agentId = null;
  #socket = null;
  #closing = null; // the server's announcement of the close to come
  #attempt = 0; // failures in a row
  #renewed = false; // a new token was fetched since the last `connected`
  #liveSince = null;
  #lastFrameAt = 0;
  #pingInterval = DEFAULT_PING_INTERVAL_MS;
  #networkLost = false;
  #timers = new Set();
  #run = 0; // counts up with every decision; whatever was waited for in an older run is ignored

  /**
   * @param tokens `{access(), renew()}`, promises of an access token; they reject with LoginRequired where only the
   *   user can help. Asked at every try, so that each starts with the newest.
   * @param onState hears of every change of state.
   * @param onMessage hears every message but those that keep the connection up. An unknown type is its to ignore.
   * @param url makes the socket's address of a token and an agent's id.
   */
  constructor({ tokens, onState, onMessage, url = socketUrl }) {
    Object.assign(this, { tokens, onState, onMessage, url });
    this.state = { name: "idle" };
    // `navigator.onLine` is no help: it is false all along on a machine whose only network is its own loopback.
    addEventListener("offline", () => this.#networkChanged(true));
    addEventListener("online", () => this.#networkChanged(false));
    document.addEventListener("visibilitychange", () => document.hidden || this.#probe());
  }

  /** Connect to this agent, leaving the one before; also takes an agent back from another window. */
  connect(agentId) {
    this.#agentId = agentId;
    this.#attempt = 0;
    this.#renewed = false;
    this.#open();
  }

  /** Try at once, where the next try is only due later. */
  retryNow() {
    if (["waiting", "offline", "refused"].includes(this.state.name)) this.#open();
  }

  /** Start over for a fresh `initial_data`, since something was missed. */
  restart(reason) {
    if (this.#socket) this.#retry(reason, 0);
  }

  /** Close, and stay closed. */
  close() {
    this.#stop({ name: "idle" });
  }

  async #open() {
    const run = this.#reset();
    this.#enter({ name: "connecting", again: this.#attempt > 0 });
    let token;
    try {
      token = await this.tokens.access();
    } catch (error) {
      if (run === this.#run) this.#tokenFailed(error);
      return;
    }
    if (run !== this.#run) return;
    const socket = new WebSocket(this.url(token, this.#agentId));
    this.#socket = socket;
    const current = (handle) => (event) => socket === this.#socket && handle(event);
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => this.#closed(event));
    this.#after(HANDSHAKE_LIMIT_MS, () => this.state.name !== "live" && this.#retry("No answer"));
  }

  #receive(text) {
    this.#lastFrameAt = performance.now();
    let message;
    try {
      message = parse(text);
    } catch {
      this.#retry("Unreadable answer");
      return;
    }
    switch (message.type) {
      case "connected":
        this.#renewed = false;
        this.#pingInterval = message.data?.pingInterval || DEFAULT_PING_INTERVAL_MS;
        this.#watch();
        return;
      case "ping":
        this.#send("pong");
        return;
      case "closing":
        this.#closing = message.data;
        return;
    }
    this.onMessage(message);
    if (message.type === "initial_data" && this.state.name === "connecting") {
      this.#liveSince = performance.now();
      this.#enter({ name: "live" });
    }
  }

  #closed(event) {
    const { answer, reason, retryAfter } = judge(event, this.#closing);
    if (answer === "retry") this.#retry(reason, retryAfter);
    else if (answer === "renew" || answer === "login") this.#renew(answer);
    else this.#stop({ name: answer, reason });
  }

  /** Fetch a new token, then come back. */
  async #renew(answer) {
    if (answer === "login" && this.#renewed) {
      this.#stop({ name: "logged-out" });
      return;
    }
    this.#renewed = true;
    const stable = this.#stable;
    if (stable) this.#attempt = 0;
    const run = this.#reset();
    this.#enter({ name: "connecting", again: this.#attempt > 0 });
    try {
      await this.tokens.renew();
    } catch (error) {
      if (run === this.#run) this.#tokenFailed(error);
      return;
    }
    if (run !== this.#run) return;
    if (stable || answer === "login") this.#open();
    else this.#retry("Token expired"); // at once, with clocks that far apart it would go round and round
  }

  #tokenFailed(error) {
    if (error instanceof LoginRequired) this.#stop({ name: "logged-out" });
    else this.#retry(error.message);
  }

  #retry(reason, retryAfter = 0) {
    const stable = this.#stable;
    this.#reset();
    if (this.#networkLost) {
      this.#enter({ name: "offline" });
      return;
    }
    this.#attempt = stable ? 1 : this.#attempt + 1;
    const due = performance.now() + backoff(this.#attempt - 1, retryAfter);
    const count = () => {
      const left = due - performance.now();
      if (left <= 0) {
        this.#open();
        return;
      }
      this.#enter({ name: "waiting", seconds: Math.ceil(left / 1000), reason });
      this.#after(left % 1000 || 1000, count);
    };
    count();
  }

  get #stable() {
    return this.#liveSince !== null && performance.now() - this.#liveSince > STABLE_AFTER_MS;
  }

  /** Notice a connection that died without a word: two ping intervals without a frame. */
  #watch() {
    const limit = 2 * this.#pingInterval;
    const left = this.#lastFrameAt + limit - performance.now();
    if (left <= 0) this.#retry("No sign of life");
    else this.#after(left, () => this.#watch());
  }

  /** Ask for a sign of life where there is reason to doubt: the network changed, or the machine slept. */
  #probe() {
    if (this.state.name !== "live") return;
    const asked = performance.now();
    this.#send("ping");
    this.#after(PROBE_LIMIT_MS, () => this.#lastFrameAt < asked && this.#retry("No sign of life"));
  }

  #networkChanged(lost) {
    this.#networkLost = lost;
    if (this.state.name === "live") this.#probe();
    else if (lost && this.state.name === "waiting") this.#retry("Offline");
    else if (!lost && ["waiting", "offline"].includes(this.state.name)) this.#open();
  }

  #send(type) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ type, timestamp: new Date().toISOString() }));
  }

  #stop(state) {
    this.#reset();
    this.#enter(state);
  }

  /** Drop the socket, whether or not the other side still answers, and all that was waited for. */
  #reset() {
    const socket = this.#socket;
    this.#socket = this.#closing = this.#liveSince = null;
    socket?.close(1000);
    this.#timers.forEach(clearTimeout);
    this.#timers.clear();
    this.#run += 1;
    return this.#run;
  }

  #after(milliseconds, act) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, milliseconds);
    this.#timers.add(timer);
  }

  #enter(state) {
    this.state = state;
    this.onState(state);
  }
}

/** The socket's address on the server that this page came from. */
export function socketUrl(token, agentId) {
  const url = new URL("/ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ token, agentId });
  return url;
}
