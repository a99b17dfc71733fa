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
import { demand, IncompatibleServer, LoginRequired } from "./errors.js";
import { ReconnectingSocket } from "./reconnecting-socket.js";
import { Stream } from "./stream.js";

export { IncompatibleServer, LoginRequired };

const QUIET_MS = 7_500; // prices come more often

export class Nexgent extends /** @type {new () => Client.Target} */ (EventTarget) {
  #stream = new Stream();
  #socket = new ReconnectingSocket(this, {
    addressOf: (token, ticket) => this.#addressOf(token, ticket),
    onMessage: (message) => this.#receive(message),
    onForget: () => {
      this.#stream = new Stream();
    },
    onState: (state) => {
      this.state = state;
      this.#emit("state", state);
    },
  });

  #clock = { server: Date.now(), here: performance.now() }; // one moment on both clocks

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
      this.#socket.socketClass !== undefined,
      'this JavaScript has no WebSocket: give one in the options, that of the package "ws", say',
    );
    if (agentId !== this.#socket.agentId) this.#stream = new Stream();
    if (this.#socket.connect(agentId)) this.#subscribe();
  }

  /** Milliseconds of the epoch, by the server's clock as far as it is known. */
  get serverNow() {
    return this.#clock.server + performance.now() - this.#clock.here;
  }

  /** Try now, where the next try is due later. */
  retryNow() {
    this.#socket.retryNow();
  }

  /** Close, stay closed, and forget the agent. */
  close() {
    this.#socket.close();
  }

  /**
   * @param {string} token
   * @param {string | null} ticket
   */
  #addressOf(token, ticket) {
    this.#stream.restart();
    return this.url(token, this.#socket.agentId, this.#stream.seq, ticket, this.#stream.epoch);
  }

  /** Subscribe to the agent over the open connection, from the last event known. */
  #subscribe() {
    const { seq, epoch } = this.#stream;
    this.#stream.resubscribe();
    this.#socket.ask("subscribe", { agentId: this.#socket.agentId, ...(seq !== null && { lastSeq: seq, epoch }) });
  }

  /** @param {Wire.Message} message */
  #receive(message) {
    this.lastMessageAt = performance.now();
    const stream = this.#stream;
    switch (message.type) {
      case "connected":
        stream.connected(message.data);
        this.#socket.authorised();
        this.#clock = { server: Date.parse(message.data.timestamp), here: performance.now() };
        this.#socket.tokenExpiresIn(Date.parse(message.data.tokenExpiresAt) - this.serverNow);
        break;
      case "refreshed":
        this.#socket.tokenExpiresIn(Date.parse(message.data.tokenExpiresAt) - this.serverNow);
        break;
      case "subscribed":
        if (message.data.agentId !== this.#socket.agentId || !stream.subscribed(message.data)) break;
        this.#socket.switched();
        if (stream.flows) this.#socket.answered();
        break;
      case "initial_data":
        if (!stream.snapshot(message.data)) break;
        this.#emit("snapshot", message.data);
        this.#socket.answered();
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
      this.#socket.retry("Events were lost");
    }
  }

  /** @param {Wire.ErrorData} data */
  #takeError(data) {
    if (data.code === "agent_not_found" && this.#socket.isSwitching) {
      this.#socket.stop({ name: "unavailable", reason: "Agent not found" });
    } else if (data.code === "token_refused") {
      this.#socket.renew("renew");
    } else {
      if (data.code === "try_again_later") this.#socket.limit = data.message;
      this.#emit("problem", data);
    }
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
