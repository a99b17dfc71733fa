/**
 * One agent's positions, live: a connection that keeps itself up for as long as that is right.
 *
 *     import { Nexgent } from "/static/realtime/nexgent.js";
 *
 *     const nexgent = new Nexgent({ token: async ({ fresh }) => accessToken(fresh) });
 *     nexgent.addEventListener("snapshot", ({ detail }) => show(detail.positions));
 *     nexgent.addEventListener("event", ({ detail }) => change(detail.eventType, detail.position ?? detail.positionId));
 *     nexgent.addEventListener("prices", ({ detail }) => reprice(detail.updates));
 *     nexgent.addEventListener("state", ({ detail }) => say(detail.name));
 *     nexgent.connect(agentId);
 *
 * Events, as CustomEvents; `detail` is the message's `data` (docs/protocol.md), money as strings of digits:
 * - `snapshot`: all positions; forget what was there before.
 * - `event`: one change, each exactly once and in order. What the network lost is asked for and comes first.
 * - `prices`: new prices.
 * - `problem`: the server did not understand something; the connection stays.
 * - `state`: `{name, …}`, also in `nexgent.state`:
 *   - `idle`: nothing is wanted.
 *   - `connecting`, `again` where the last try or connection has failed.
 *   - `live`: everything is here, and what follows comes as it happens.
 *   - `waiting`, with `seconds` to the next try and the `reason` of the last failure; once a second.
 *   - `offline`: the browser has lost its network; the next try comes with the network.
 *   - `taken-over`: another window has this agent now. `connect` takes it back.
 *   - `unavailable` (not this user's agent any more) and `refused`, with `reason`: no further try.
 *   - `logged-out`: no token to be had without the user.
 *
 * After a break it says which event it had last, and gets what it missed: no `snapshot` comes then. It never fights
 * another window, backs off with full jitter, and prolongs its token before that runs out, on the open socket.
 */

import { backoff, judge } from "./close-codes.js";
import { Timers } from "./timers.js";
import { parse } from "./wire.js";

const ANSWER_LIMIT_MS = 15_000; // from opening, or asking, to the answer
const PROBE_LIMIT_MS = 5_000;
const DEFAULT_PING_INTERVAL_MS = 30_000;
const REFRESH_BEFORE_MS = 60_000;
const REFRESH_AGAIN_MS = 5_000;
// A connection that lasted this long counts as a success: only then does the back-off start over.
const STABLE_AFTER_MS = 10_000;

/** What `token` rejects with where only the user can help. */
export class LoginRequired extends Error {}

export class Nexgent extends EventTarget {
  #agentId = null;
  #seq = null; // number of the last event that was passed on
  #awaiting = "snapshot"; // what the stream begins with: "subscribed", "snapshot"; null while it flows
  #recovering = false; // missing events were asked for, and none has come since
  #socket = null;
  #served = null; // the agent that the socket serves; null until the server has authorised it
  #closing = null; // the server's announcement of the close to come
  #attempt = 0; // failures in a row
  #renewed = false; // a new token was fetched since the last `connected`
  #liveSince = null;
  #clock = { server: Date.now(), here: performance.now() }; // one moment on both clocks
  #pingInterval = DEFAULT_PING_INTERVAL_MS;
  #networkLost = false;
  #timers = new Timers(); // answer, refresh, silence, probe, retry
  #listening = null; // an AbortController, from `connect` to `close`
  #run = 0; // counts up with every decision; whatever was waited for in an older run is ignored

  state = { name: "idle" };
  /** When the last frame came, on the clock of `performance.now()`. */
  lastMessageAt = 0;

  /**
   * @param token `({fresh}) => Promise<string>`: an access token, a new one where `fresh`. Asked at every try, so that
   *   each starts with the newest. Rejects with LoginRequired where only the user can help; else it is asked again.
   * @param url makes the socket's address of a token, an agent's id and the last event known (or null).
   */
  constructor({ token, url = socketUrl }) {
    super();
    Object.assign(this, { token, url });
  }

  /** Show this agent: over the open socket where there is one. Also takes an agent back from another window. */
  connect(agentId) {
    if (agentId !== this.#agentId) this.#seq = null;
    this.#agentId = agentId;
    this.#attempt = 0;
    this.#renewed = false;
    this.#listen();
    if (this.#served !== null && this.#socket?.readyState === WebSocket.OPEN) {
      this.#enter({ name: "connecting", again: false });
      this.#subscribe();
    } else {
      this.#open();
    }
  }

  /** Milliseconds of the epoch, by the server's clock as far as it is known. */
  get serverNow() {
    return this.#clock.server + performance.now() - this.#clock.here;
  }

  /** Try at once, where the next try is only due later. */
  retryNow() {
    if (["waiting", "offline", "refused"].includes(this.state.name)) this.#open();
  }

  /** Close, stay closed, and forget the agent. */
  close() {
    this.#stop({ name: "idle" });
    this.#agentId = null;
    this.#listening?.abort();
    this.#listening = null;
  }

  /** Hear of the network and of the window, until `close`: the page would keep a client alive that listens. */
  #listen() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    // `navigator.onLine` is no help: it is always false on a machine whose only network is its own loopback.
    this.#networkLost = false;
    addEventListener("offline", () => this.#networkChanged(true), { signal });
    addEventListener("online", () => this.#networkChanged(false), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#probe(), { signal });
  }

  async #open() {
    const run = this.#reset();
    this.#enter({ name: "connecting", again: this.#attempt > 0 });
    let token;
    try {
      token = await this.token({ fresh: false });
    } catch (error) {
      if (run === this.#run) this.#tokenFailed(error);
      return;
    }
    if (run !== this.#run) return;
    const socket = new WebSocket(this.url(token, this.#agentId, this.#seq));
    this.#socket = socket;
    this.#awaiting = this.#seq === null ? "snapshot" : "subscribed";
    const current = (handle) => (event) => socket === this.#socket && handle(event);
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => this.#closed(event));
    this.#expectAnswer();
  }

  /** Ask for the stream of the agent, from the last event on that is known. */
  #subscribe() {
    this.#awaiting = "subscribed";
    this.#send("subscribe", { agentId: this.#agentId, ...(this.#seq !== null && { lastSeq: this.#seq }) });
    this.#expectAnswer();
  }

  #expectAnswer() {
    this.#timers.set("answer", ANSWER_LIMIT_MS, () => this.#retry("No answer"));
  }

  #receive(text) {
    this.lastMessageAt = performance.now();
    this.#timers.cancel("probe");
    let message;
    try {
      message = parse(text);
    } catch {
      this.#retry("Unreadable answer");
      return;
    }
    this.#handlers[message.type]?.(message.data ?? {});
  }

  #handlers = {
    connected: (data) => {
      this.#served = data.agentId;
      this.#renewed = false;
      this.#clock = { server: Date.parse(data.timestamp), here: performance.now() };
      this.#pingInterval = data.pingInterval || DEFAULT_PING_INTERVAL_MS;
      this.#watch();
      this.#refreshBefore(data.tokenExpiresAt);
    },
    ping: () => this.#send("pong"),
    closing: (data) => {
      this.#closing = data;
    },
    refreshed: (data) => this.#refreshBefore(data.tokenExpiresAt),
    subscribed: ({ agentId, recovered }) => {
      if (this.#awaiting !== "subscribed" || agentId !== this.#agentId) return;
      this.#served = agentId;
      this.#awaiting = recovered ? null : "snapshot";
      if (recovered) this.#flow();
    },
    initial_data: (data) => {
      if (this.#awaiting === "subscribed") return; // of the agent before
      this.#awaiting = null;
      this.#recovering = false;
      this.#seq = data.seq;
      this.#tell("snapshot", data);
      this.#flow();
    },
    position_update: (data) => {
      if (this.#awaiting || data.seq <= this.#seq) return;
      if (data.seq === this.#seq + 1) {
        this.#recovering = false;
        this.#seq = data.seq;
        this.#tell("event", data);
      } else if (this.#recovering) {
        this.#seq = null; // asking has not helped: start over
        this.#retry("Something was missed");
      } else {
        this.#recovering = true;
        this.#subscribe();
      }
    },
    price_update_batch: (data) => this.#awaiting || this.#tell("prices", data),
    error: (data) => {
      if (data.code === "agent_not_found" && this.#switching) {
        this.#stop({ name: "unavailable", reason: "Agent not found" });
      } else if (data.code === "token_refused") {
        this.#renew("renew");
      } else {
        this.#tell("problem", data);
      }
    },
  };

  #flow() {
    this.#timers.cancel("answer");
    if (this.state.name !== "connecting") return;
    this.#liveSince ??= performance.now();
    this.#enter({ name: "live" });
  }

  /** Whether another agent was asked for than the socket serves. */
  get #switching() {
    return this.#served !== null && this.#served !== this.#agentId;
  }

  #closed(event) {
    const { answer, reason, retryAfter } = judge(event, this.#closing);
    if (this.#switching && (answer === "unavailable" || answer === "taken-over")) this.#open(); // that was the agent before
    else if (answer === "retry") this.#retry(reason, retryAfter);
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
      await this.token({ fresh: true });
    } catch (error) {
      if (run === this.#run) this.#tokenFailed(error);
      return;
    }
    if (run !== this.#run) return;
    if (stable || answer === "login") this.#open();
    else this.#retry("Token expired"); // at once, with clocks that far apart it would go round and round
  }

  /** Prolong the connection before its token runs out, by the server's clock. */
  #refreshBefore(expiresAt) {
    const left = Date.parse(expiresAt) - this.serverNow;
    const refresh = async () => {
      const run = this.#run;
      try {
        const token = await this.token({ fresh: true });
        if (run === this.#run) this.#send("refresh", { token });
      } catch (error) {
        if (run !== this.#run) return;
        if (error instanceof LoginRequired) this.#tokenFailed(error);
        else this.#timers.set("refresh", REFRESH_AGAIN_MS, refresh);
      }
    };
    if (left > 0) this.#timers.set("refresh", left - Math.min(REFRESH_BEFORE_MS, left / 2), refresh);
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
      this.#timers.set("retry", left % 1000 || 1000, count);
    };
    count();
  }

  get #stable() {
    return this.#liveSince !== null && performance.now() - this.#liveSince > STABLE_AFTER_MS;
  }

  /** Notice a connection that died without a word: two ping intervals without a frame. */
  #watch() {
    const limit = 2 * this.#pingInterval;
    const left = this.lastMessageAt + limit - performance.now();
    if (left <= 0) this.#retry("No sign of life");
    else this.#timers.set("silence", left, () => this.#watch());
  }

  /** Ask for a sign of life where there is reason to doubt: the network changed, or the machine slept. */
  #probe() {
    if (this.state.name !== "live" || this.#timers.has("probe")) return;
    this.#send("ping");
    this.#timers.set("probe", PROBE_LIMIT_MS, () => this.#retry("No sign of life"));
  }

  #networkChanged(lost) {
    this.#networkLost = lost;
    if (this.state.name === "live") this.#probe();
    else if (lost && this.state.name === "waiting") this.#retry("Offline");
    else if (!lost && ["waiting", "offline"].includes(this.state.name)) this.#open();
  }

  #send(type, data) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ type, ...(data && { data }), timestamp: new Date().toISOString() }));
  }

  #stop(state) {
    this.#reset();
    this.#seq = state.name === "taken-over" ? this.#seq : null;
    this.#enter(state);
  }

  /** Drop the socket, whether or not the other side still answers, and all that was waited for. */
  #reset() {
    const socket = this.#socket;
    this.#socket = this.#closing = this.#liveSince = null;
    this.#served = null;
    this.#recovering = false;
    socket?.close(1000);
    this.#timers.cancelAll();
    this.#run += 1;
    return this.#run;
  }

  #enter(state) {
    this.state = state;
    this.#tell("state", state);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** The socket's address on the server that this page came from. */
export function socketUrl(token, agentId, lastSeq) {
  const url = new URL("/ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ token, agentId, ...(lastSeq !== null && { lastSeq }) });
  return url;
}
