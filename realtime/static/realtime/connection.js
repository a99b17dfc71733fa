/**
 * One WebSocket, from opening to its end: reads messages, answers pings, and notices a connection that died silently.
 * Its state, timers and handlers end with it.
 */

import { judge } from "./close-codes.js";
import { CompactPrices, SUBPROTOCOL } from "./compact-prices.js";
import { Timers } from "./timers.js";
import { parse } from "./wire.js";

const OPEN = 1; // WebSocket.OPEN, whoever made the class
const PROBE_LIMIT_MS = 5_000;
// A connection that was live for this long counts as a success: only then does the back-off start over.
const STABLE_AFTER_MS = 10_000;

/** @typedef {ReturnType<typeof judge>} End */

export class Connection {
  /** @type {Client.Socket} */
  #socket;
  /** @type {Wire.ClosingData | null} the server's announcement of the close to come */
  #closing = null;
  #quietMs;
  #receivedAt = performance.now();
  #hasReceived = false;
  /** @type {number | null} */
  #liveSince = null;
  #timers = new Timers(); // silence, probe
  /** @type {(end: End) => void} */
  #onEnd;
  /** @type {(message: Wire.Message) => void} */
  #onMessage;

  #prices = new CompactPrices();
  #isCompact;

  /** @type {string | null} the agent that it serves; null until the server has authorised it */
  agentId = null;

  /**
   * @param {string | URL} address
   * @param {(message: Wire.Message) => void} onMessage
   * @param {(end: End) => void} onEnd is called when it has ended, except by `drop`.
   * @param {{isCompact: boolean, quietMs: number, WebSocket: Client.SocketClass}} options whether compact prices are
   *   asked for; how long it may be silent before it is asked whether it is still there; what opens the socket.
   */
  constructor(address, onMessage, onEnd, { isCompact, quietMs, WebSocket }) {
    this.#isCompact = isCompact;
    this.#quietMs = quietMs;
    this.#onMessage = onMessage;
    this.#onEnd = onEnd;
    this.#socket = new WebSocket(address, isCompact ? [SUBPROTOCOL] : []);
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    // Its close says what there is to say; the class of the npm package `ws` throws errors that nobody listens to, also
    // those that come after `drop`.
    this.#socket.onerror = () => {};
    this.#socket.onclose = (event) => this.#end(judge(event, this.#closing));
  }

  get isOpen() {
    return this.#socket.readyState === OPEN;
  }

  /** Whether it was live for long enough to count as a success. */
  get isStable() {
    return this.#liveSince !== null && performance.now() - this.#liveSince > STABLE_AFTER_MS;
  }

  /** Whether it asked for compact prices, and no message has come. */
  get hasFailedCompact() {
    return this.#isCompact && !this.#hasReceived;
  }

  markLive() {
    this.#liveSince ??= performance.now();
  }

  /**
   * Send a message; nothing where the socket is not open.
   *
   * @param {string} type
   * @param {object} [data]
   */
  send(type, data) {
    if (!this.isOpen) return;
    this.#socket.send(JSON.stringify({ type, ...(data && { data }), timestamp: new Date().toISOString() }));
  }

  /** Expect an answer soon: it is in doubt, since it is silent, the network changed, or the machine slept. */
  probe() {
    if (this.#timers.has("probe")) return;
    this.send("ping");
    this.#timers.set("probe", PROBE_LIMIT_MS, () => this.#fail("No answer to a ping"));
  }

  /** Close it, whether or not the other side still answers. */
  drop() {
    this.#timers.cancelAll();
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000);
  }

  /** @param {string} text */
  #receive(text) {
    this.#receivedAt = performance.now();
    this.#hasReceived = true;
    this.#timers.cancel("probe");
    /** @type {Wire.Message} */
    let message;
    try {
      message = this.#prices.read(/** @type {Wire.Frame} */ ({ data: {}, ...parse(text) }));
    } catch {
      this.#fail("Unreadable message");
      return;
    }
    if (message.type === "ping") {
      this.send("pong");
    } else if (message.type === "closing") {
      this.#closing = message.data;
    } else if (message.type === "connected") {
      this.agentId = message.data.agentId;
      this.#watch();
    }
    this.#onMessage(message);
  }

  /** Ask for a sign of life where there has been none for a while: stale figures must not look live for long. */
  #watch() {
    const left = this.#receivedAt + this.#quietMs - performance.now();
    if (left <= 0) this.probe();
    this.#timers.set("silence", left > 0 ? left : this.#quietMs, () => this.#watch());
  }

  /** @param {string} reason */
  #fail(reason) {
    this.#end({ answer: "retry", reason, retryAfter: 0 });
  }

  /** @param {End} end */
  #end(end) {
    this.drop();
    this.#onEnd(end);
  }
}
