/**
 * A socket for one agent that is opened again for as long as that is right: with the newest token or a ticket, backing
 * off, and at once where the network is back. What its messages say is its owner's matter.
 *
 * @import { Nexgent } from "./nexgent.js"
 */

import { Connection } from "./connection.js";
import { demand, IncompatibleServer, LoginRequired } from "./errors.js";
import { Network } from "./network.js";
import { Retry } from "./retry.js";
import { Timers } from "./timers.js";
import { TokenRefresh } from "./token-refresh.js";

const ANSWER_LIMIT_MS = 15_000; // from opening, or subscribing, to the stream

// The server may be of an earlier release: then a browser fails each handshake that asks for a subprotocol.
const PLAIN_AFTER = 2;

export class ReconnectingSocket {
  /** The agent that is wanted; "" while idle. */
  agentId = "";
  /** Why the server refused the last try, in its words, where it was at a limit. */
  limit = "";
  /** @type {Client.State} */
  #state = { name: "idle" };
  #client;
  #handlers;
  /** @type {Connection | null} */
  #connection = null;
  #retries = new Retry(
    (seconds, reason) => this.#enter({ name: "waiting", seconds, reason, limit: this.limit }),
    () => this.#open(),
  );
  #refresh = new TokenRefresh({
    fetchToken: () => this.#client.token({ fresh: true }),
    onToken: (token) => this.#connection?.send("refresh", { token }),
    isFatal: (error) => error instanceof LoginRequired,
    onFatal: (error) => this.#tokenFailed(error),
  });
  #network = new Network({ onChange: () => this.#networkChanged(), onSeen: () => this.#probe() });
  #ticketUsed = false; // by the last try
  #ticketRefused = false; // so that the next try has the token in its address
  #renewed = false; // a new token was fetched since the server last authorised a connection
  #unanswered = 0; // tries in a row that asked for compact prices and failed without a message
  #timers = new Timers(); // answer
  #run = 0; // counts up with every decision; what was awaited in an older run is ignored

  /**
   * @param {Nexgent} client the owner, whose options are read at every try
   * @param {object} handlers
   * @param {(token: string, ticket: string | null) => string | URL} handlers.addressOf begins a connection.
   * @param {(message: Wire.Message) => void} handlers.onMessage
   * @param {() => void} handlers.onForget no connection follows that could go on from this one.
   * @param {(state: Client.State) => void} handlers.onState
   */
  constructor(client, handlers) {
    this.#client = client;
    this.#handlers = handlers;
  }

  /** What opens sockets, if anything does. */
  get socketClass() {
    return this.#client.WebSocket ?? globalThis.WebSocket;
  }

  /** Whether another agent was asked for than the connection serves. */
  get isSwitching() {
    const served = this.#connection?.agentId ?? null;
    return served !== null && served !== this.agentId;
  }

  /**
   * Connect to this agent; returns whether there is an open connection, over which it has to be asked for.
   *
   * @param {string} agentId
   */
  connect(agentId) {
    this.agentId = agentId;
    this.#retries.forgive();
    this.#renewed = false;
    this.#network.listen();
    if (this.#connection?.isOpen && this.#connection.agentId !== null) {
      this.#enter({ name: "connecting", again: false });
      return true;
    }
    this.#open();
    return false;
  }

  /** Try now, where the next try is due later. */
  retryNow() {
    if (["waiting", "offline", "refused"].includes(this.#state.name)) this.#open();
  }

  /** Close, stay closed, and forget the agent. */
  close() {
    this.stop({ name: "idle" });
    this.agentId = "";
    this.#network.stop();
  }

  /**
   * Send what is to be answered by the stream; nothing where the socket is not open.
   *
   * @param {string} type
   * @param {object} data
   */
  ask(type, data) {
    this.#connection?.send(type, data);
    this.#expectAnswer();
  }

  /** The server has authorised the connection. */
  authorised() {
    this.#renewed = this.#ticketRefused = false;
  }

  /** @param {number} milliseconds until the connection's token expires */
  tokenExpiresIn(milliseconds) {
    this.#refresh.schedule(milliseconds);
  }

  /** The open connection serves the agent that is wanted. */
  switched() {
    if (this.#connection) this.#connection.agentId = this.agentId;
  }

  /** The stream flows. */
  answered() {
    this.#timers.cancel("answer");
    if (this.#state.name !== "connecting") return;
    this.#connection?.markLive();
    this.limit = "";
    this.#enter({ name: "live" });
  }

  #expectAnswer() {
    this.#timers.set("answer", ANSWER_LIMIT_MS, () => this.retry("No answer"));
  }

  async #open() {
    const run = this.#reset();
    this.#enter({ name: "connecting", again: this.#retries.isAfterFailure });
    let token, ticket;
    try {
      token = await this.#client.token({ fresh: false });
      if (run !== this.#run) return;
      demand(typeof token === "string" && token !== "", `token() must return a token; it returned ${token}`);
      ticket = this.#ticketRefused ? null : await this.#client.ticket(token);
    } catch (error) {
      if (run === this.#run) this.#tokenFailed(error);
      return;
    }
    if (run !== this.#run) return;
    this.#ticketUsed = ticket !== null;
    this.#connection = new Connection(
      this.#handlers.addressOf(token, ticket),
      this.#handlers.onMessage,
      (end) => this.#ended(end),
      { isCompact: this.#unanswered < PLAIN_AFTER, quietMs: this.#client.quietMs, WebSocket: this.socketClass },
    );
    this.#expectAnswer();
  }

  /** @param {import("./connection.js").End} end */
  #ended({ answer, reason, retryAfter }) {
    this.#unanswered = this.#connection?.hasFailedCompact ? this.#unanswered + 1 : 0;
    if (answer === "retry") {
      this.retry(reason, retryAfter);
    } else if (answer === "login" && this.#ticketUsed) {
      // Expired on its way, perhaps, or the process is one of the release before, which knows no tickets.
      this.#ticketRefused = true;
      this.#open();
    } else if (answer === "renew" || answer === "login") {
      this.renew(answer);
    } else if (this.isSwitching && answer !== "refused") {
      this.#open(); // that was the agent before
    } else {
      this.stop({ name: answer, reason });
    }
  }

  /**
   * Fetch a new token, then reconnect.
   *
   * @param {"renew" | "login"} answer
   */
  async renew(answer) {
    if (answer === "login" && this.#renewed) {
      this.stop({ name: "logged-out" });
      return;
    }
    this.#renewed = true;
    const stable = this.#connection?.isStable ?? false;
    if (stable) this.#retries.forgive();
    const run = this.#reset();
    this.#enter({ name: "connecting", again: this.#retries.isAfterFailure });
    try {
      await this.#client.token({ fresh: true });
    } catch (error) {
      if (run === this.#run) this.#tokenFailed(error);
      return;
    }
    if (run !== this.#run) return;
    if (stable || answer === "login") this.#open();
    else this.retry("Token expired"); // backing off: at once, clocks that differ that much would make it loop
  }

  /** @param {unknown} error */
  #tokenFailed(error) {
    if (error instanceof LoginRequired) this.stop({ name: "logged-out" });
    else if (error instanceof IncompatibleServer) this.stop({ name: "incompatible", reason: error.message });
    else this.retry(error instanceof Error ? error.message : String(error));
  }

  /**
   * Drop the connection, and open another one later.
   *
   * @param {string} reason
   */
  retry(reason, retryAfter = 0) {
    const stable = this.#connection?.isStable;
    this.#reset();
    if (this.#network.isLost) {
      this.#enter({ name: "offline" });
      return;
    }
    if (stable) this.#retries.forgive();
    this.#retries.wait(reason, retryAfter);
  }

  #probe() {
    if (this.#state.name === "live") this.#connection?.probe();
  }

  #networkChanged() {
    const { isLost } = this.#network;
    if (this.#state.name === "live") this.#probe();
    else if (isLost && this.#state.name === "waiting") this.retry("Offline");
    else if (!isLost && ["waiting", "offline"].includes(this.#state.name)) this.#open();
  }

  /**
   * Drop the connection, and open no other.
   *
   * @param {Client.State} state
   */
  stop(state) {
    this.#reset();
    if (state.name !== "taken-over") this.#handlers.onForget();
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
    this.#state = state;
    this.#handlers.onState(state);
  }
}
