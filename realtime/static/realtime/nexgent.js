/**
 * One agent's positions, live: a client that reconnects by itself for as long as that is right.
 *
 *     import { Nexgent } from "/static/realtime/nexgent.js";
 *
 *     const nexgent = new Nexgent({ token: async ({ fresh }) => accessToken(fresh) });
 *     nexgent.addEventListener("snapshot", ({ detail }) => show(detail.positions));
 *     nexgent.addEventListener("event", ({ detail }) => change(detail.position ?? detail.positionId));
 *     nexgent.addEventListener("prices", ({ detail }) => reprice(detail.updates));
 *     nexgent.addEventListener("state", ({ detail }) => showState(detail.name));
 *     nexgent.connect(agentId);
 *
 * Events, as CustomEvents; `detail` is the message's `data` (docs/protocol.md), money as strings of digits:
 * - `snapshot`: all positions; discard what was there before.
 * - `event`: one change, each exactly once and in order. Events that the network lost are requested and come first.
 * - `prices`: new prices, and changes of how reliable they are.
 * - `problem`: the server did not understand a message; the connection stays open.
 * - `state`: `{name, …}`, also in `nexgent.state`:
 *   - `idle`: no agent is wanted.
 *   - `connecting`, with `again` where the last try or connection has failed.
 *   - `live`: up to date, and changes arrive as they happen.
 *   - `waiting`, with `seconds` to the next try and the `reason` of the last failure; once a second. Where the server
 *     was at a limit, `limit` says which in a sentence: that all places for watching the agent are taken, for example.
 *   - `offline`: the browser has no network; the next try comes with the network.
 *   - `taken-over`: a newer socket owns this agent. Only where `url` makes an address without `mode=watch`: a client
 *     that watches ends nobody's socket, and nobody ends its own. `connect` takes the agent back.
 *   - `unavailable` (not this user's agent any more) and `refused`, with `reason`: no further try.
 *   - `incompatible`, with `reason`: `token` has rejected with IncompatibleServer.
 *   - `logged-out`: no token without the user.
 *
 * After a break it resumes at the last event that it had: the missed ones come, then a `snapshot` with the newest
 * prices (from servers without compact prices, those prices alone). It backs off with full jitter, and renews its token
 * on the open socket before it expires. `close` ends it; `connect` starts again.
 */

import { socketUrl } from "./base.js";
import { Connection } from "./connection.js";
import { demand, IncompatibleServer, LoginRequired } from "./errors.js";
import { Retry } from "./retry.js";
import { Stream } from "./stream.js";
import { Timers } from "./timers.js";
import { TokenRefresh } from "./token-refresh.js";

export { IncompatibleServer, LoginRequired };

const QUIET_MS = 7_500; // prices come more often
const ANSWER_LIMIT_MS = 15_000; // from opening, or subscribing, to the stream

// The server may be of an earlier release: then a browser fails each handshake that asks for a subprotocol.
const PLAIN_AFTER = 2;

export class Nexgent extends /** @type {new () => Client.Target} */ (EventTarget) {
  #agentId = ""; // "" while idle
  #stream = new Stream();
  /** @type {Connection | null} */
  #connection = null;
  #retries = new Retry(
    (seconds, reason) => this.#enter({ name: "waiting", seconds, reason, limit: this.#limit }),
    () => this.#open(),
  );
  #refresh = new TokenRefresh({
    fetchToken: () => this.token({ fresh: true }),
    onToken: (token) => this.#connection?.send("refresh", { token }),
    isFatal: (error) => error instanceof LoginRequired,
    onFatal: (error) => this.#tokenFailed(error),
  });
  #ticketUsed = false; // by the last try
  #ticketRefused = false; // so that the next try has the token in its address
  #renewed = false; // a new token was fetched since the last `connected`
  #clock = { server: Date.now(), here: performance.now() }; // one moment on both clocks
  #networkLost = false;
  #unanswered = 0; // tries in a row that asked for compact prices and failed without a message
  #limit = ""; // why the server refused the last try, in its words, where it was at a limit
  /** @type {AbortController | null} ends the listeners on the window; from `connect` to `close` */
  #listening = null;
  #timers = new Timers(); // answer
  #run = 0; // counts up with every decision; what was awaited in an older run is ignored

  /** @type {Client.State} */
  state = { name: "idle" };
  /** When the last frame came, on the clock of `performance.now()`. */
  lastMessageAt = 0;

  /**
   * @param {object} options
   * @param {Client.TokenSource} options.token returns an access token, a new one where `fresh`. Called at every try,
   *   so that each starts with the newest. Rejects with LoginRequired where only the user can help; else it is called
   *   again.
   * @param {Client.TicketSource} [options.ticket] returns a ticket (`POST /api/socket-ticket/`), which stands in for
   *   the token in the address; null where there is none. Called at every try.
   * @param {Client.AddressMaker} [options.url] makes the socket's address.
   * @param {number} [options.quietMs] how long the connection may be silent before it is asked for a sign of life, in
   *   milliseconds; without one within five seconds, it is lost.
   * @param {Client.SocketClass | null} [options.WebSocket] what opens sockets, where JavaScript has no WebSocket.
   * @throws {TypeError} for what can only be a mistake in the program.
   */
  constructor({ token, ticket = async () => null, url = socketUrl, quietMs = QUIET_MS, WebSocket }) {
    super();
    for (const [name, given] of Object.entries({ token, ticket, url })) {
      demand(typeof given === "function", `${name} must be a function; it is ${given}`);
    }
    demand(!WebSocket || typeof WebSocket === "function", `WebSocket must be a class; it is ${WebSocket}`);
    this.quietMs = quietMs;
    this.token = token;
    this.ticket = ticket;
    this.url = url;
    this.WebSocket = WebSocket;
  }

  /**
   * Show this agent: over the open socket where there is one. Also takes an agent back from another window.
   *
   * @param {string} agentId
   * @throws {TypeError} for what can only be a mistake in the program.
   */
  connect(agentId) {
    demand(typeof agentId === "string" && agentId !== "", `agentId must be the id of an agent; it is ${agentId}`);
    demand(
      this.#socketClass !== undefined,
      'this JavaScript has no WebSocket: give one in the options, that of the package "ws", say',
    );
    if (agentId !== this.#agentId) this.#stream = new Stream();
    this.#agentId = agentId;
    this.#retries.forgive();
    this.#renewed = false;
    this.#listen();
    if (this.#connection?.isOpen && this.#connection.agentId !== null) {
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

  /** Try now, where the next try is due later. */
  retryNow() {
    if (["waiting", "offline", "refused"].includes(this.state.name)) this.#open();
  }

  /** Close, stay closed, and forget the agent. */
  close() {
    this.#stop({ name: "idle" });
    this.#agentId = "";
    this.#listening?.abort();
    this.#listening = null;
  }

  /** Listen to the window until `close`: the window keeps its listeners alive. */
  #listen() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    // `navigator.onLine` is no help: it is always false on a machine whose only network is its own loopback.
    this.#networkLost = false;
    globalThis.addEventListener?.("offline", () => this.#networkChanged(true), { signal });
    globalThis.addEventListener?.("online", () => this.#networkChanged(false), { signal });
    const page = globalThis.document; // none in a worker and in node
    page?.addEventListener("visibilitychange", () => page.hidden || this.#probe(), { signal });
  }

  get #socketClass() {
    return this.WebSocket ?? globalThis.WebSocket;
  }

  async #open() {
    const run = this.#reset();
    this.#enter({ name: "connecting", again: this.#retries.isAfterFailure });
    let token, ticket;
    try {
      token = await this.token({ fresh: false });
      if (run !== this.#run) return;
      demand(typeof token === "string" && token !== "", `token() must return a token; it returned ${token}`);
      ticket = this.#ticketRefused ? null : await this.ticket(token);
    } catch (error) {
      if (run === this.#run) this.#tokenFailed(error);
      return;
    }
    if (run !== this.#run) return;
    this.#ticketUsed = ticket !== null;
    this.#stream.restart();
    this.#connection = new Connection(
      this.url(token, this.#agentId, this.#stream.seq, ticket, this.#stream.epoch),
      (message) => this.#receive(message),
      (end) => this.#ended(end),
      { isCompact: this.#unanswered < PLAIN_AFTER, quietMs: this.quietMs, WebSocket: this.#socketClass },
    );
    this.#expectAnswer();
  }

  /** Subscribe to the agent, from the last event known. */
  #subscribe() {
    const { seq, epoch } = this.#stream;
    this.#stream.resubscribe();
    this.#connection?.send("subscribe", { agentId: this.#agentId, ...(seq !== null && { lastSeq: seq, epoch }) });
    this.#expectAnswer();
  }

  #expectAnswer() {
    this.#timers.set("answer", ANSWER_LIMIT_MS, () => this.#retry("No answer"));
  }

  /** @param {Wire.Message} message */
  #receive(message) {
    this.lastMessageAt = performance.now();
    const stream = this.#stream;
    switch (message.type) {
      case "connected":
        stream.connected(message.data);
        this.#renewed = this.#ticketRefused = false;
        this.#clock = { server: Date.parse(message.data.timestamp), here: performance.now() };
        this.#refresh.schedule(Date.parse(message.data.tokenExpiresAt) - this.serverNow);
        break;
      case "refreshed":
        this.#refresh.schedule(Date.parse(message.data.tokenExpiresAt) - this.serverNow);
        break;
      case "subscribed":
        if (message.data.agentId !== this.#agentId || !stream.subscribed(message.data)) break;
        if (this.#connection) this.#connection.agentId = this.#agentId;
        if (stream.flows) this.#flow();
        break;
      case "initial_data":
        if (!stream.snapshot(message.data)) break;
        this.#emit("snapshot", message.data);
        this.#flow();
        break;
      case "position_update":
        this.#takeEvent(message.data);
        break;
      case "price_update_batch":
        if (stream.flows) this.#emit("prices", message.data);
        break;
      case "error":
        this.#takeError(message.data);
        break;
      default: // ping and closing are the connection's; later versions may have more
    }
  }

  /** @param {Wire.PositionUpdateData} data */
  #takeEvent(data) {
    const place = this.#stream.event(data);
    if (place === "next") {
      this.#emit("event", data);
    } else if (place === "gap") {
      this.#subscribe();
    } else if (place === "lost") {
      this.#stream = new Stream();
      this.#retry("Events were lost");
    }
  }

  /** @param {Wire.ErrorData} data */
  #takeError(data) {
    if (data.code === "agent_not_found" && this.#switching) {
      this.#stop({ name: "unavailable", reason: "Agent not found" });
    } else if (data.code === "token_refused") {
      this.#renew("renew");
    } else {
      if (data.code === "try_again_later") this.#limit = data.message;
      this.#emit("problem", data);
    }
  }

  #flow() {
    this.#timers.cancel("answer");
    if (this.state.name !== "connecting") return;
    this.#connection?.markLive();
    this.#limit = "";
    this.#enter({ name: "live" });
  }

  /** Whether another agent was asked for than the connection serves. */
  get #switching() {
    const served = this.#connection?.agentId ?? null;
    return served !== null && served !== this.#agentId;
  }

  /** @param {import("./connection.js").End} end */
  #ended({ answer, reason, retryAfter }) {
    this.#unanswered = this.#connection?.hasFailedCompact ? this.#unanswered + 1 : 0;
    if (answer === "retry") {
      this.#retry(reason, retryAfter);
    } else if (answer === "login" && this.#ticketUsed) {
      // Expired on its way, perhaps, or the process is one of the release before, which knows no tickets.
      this.#ticketRefused = true;
      this.#open();
    } else if (answer === "renew" || answer === "login") {
      this.#renew(answer);
    } else if (this.#switching && answer !== "refused") {
      this.#open(); // that was the agent before
    } else {
      this.#stop({ name: answer, reason });
    }
  }

  /**
   * Fetch a new token, then reconnect.
   *
   * @param {"renew" | "login"} answer
   */
  async #renew(answer) {
    if (answer === "login" && this.#renewed) {
      this.#stop({ name: "logged-out" });
      return;
    }
    this.#renewed = true;
    const stable = this.#connection?.isStable ?? false;
    if (stable) this.#retries.forgive();
    const run = this.#reset();
    this.#enter({ name: "connecting", again: this.#retries.isAfterFailure });
    try {
      await this.token({ fresh: true });
    } catch (error) {
      if (run === this.#run) this.#tokenFailed(error);
      return;
    }
    if (run !== this.#run) return;
    if (stable || answer === "login") this.#open();
    else this.#retry("Token expired"); // backing off: at once, clocks that differ that much would make it loop
  }

  /** @param {unknown} error */
  #tokenFailed(error) {
    if (error instanceof LoginRequired) this.#stop({ name: "logged-out" });
    else if (error instanceof IncompatibleServer) this.#stop({ name: "incompatible", reason: error.message });
    else this.#retry(error instanceof Error ? error.message : String(error));
  }

  /** @param {string} reason */
  #retry(reason, retryAfter = 0) {
    const stable = this.#connection?.isStable;
    this.#reset();
    if (this.#networkLost) {
      this.#enter({ name: "offline" });
      return;
    }
    if (stable) this.#retries.forgive();
    this.#retries.wait(reason, retryAfter);
  }

  #probe() {
    if (this.state.name === "live") this.#connection?.probe();
  }

  /** @param {boolean} lost */
  #networkChanged(lost) {
    this.#networkLost = lost;
    if (this.state.name === "live") this.#probe();
    else if (lost && this.state.name === "waiting") this.#retry("Offline");
    else if (!lost && ["waiting", "offline"].includes(this.state.name)) this.#open();
  }

  /** @param {Client.State} state */
  #stop(state) {
    this.#reset();
    if (state.name !== "taken-over") this.#stream = new Stream();
    this.#enter(state);
  }

  /** Drop the connection, and everything that is awaited. Returns the new run. */
  #reset() {
    this.#connection?.drop();
    this.#connection = null;
    this.#timers.cancelAll();
    this.#refresh.cancel();
    this.#retries.cancel();
    this.#run += 1;
    return this.#run;
  }

  /** @param {Client.State} state */
  #enter(state) {
    this.state = state;
    this.#emit("state", state);
  }

  /**
   * @template {keyof Client.Events} K
   * @param {K} type
   * @param {Client.Events[K]} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
