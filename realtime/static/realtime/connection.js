/**
 * One WebSocket, from opening to its end: reads messages, answers pings, and notices a connection that died silently.
 * Its state, timers and handlers end with it.
 */

import { judge } from "./close-codes.js";
import { Timers } from "./timers.js";
import { parse } from "./wire.js";

const PROBE_LIMIT_MS = 5_000;
const DEFAULT_PING_INTERVAL_MS = 30_000;
// A connection that was live for this long counts as a success: only then does the back-off start over.
const STABLE_AFTER_MS = 10_000;

/** @typedef {ReturnType<typeof judge>} End */

export class Connection {
  /** @type {WebSocket} */
  #socket;
  /** @type {Wire.ClosingData | null} the server's announcement of the close to come */
  #closing = null;
  #pingInterval = DEFAULT_PING_INTERVAL_MS;
  #receivedAt = performance.now();
  /** @type {number | null} */
  #liveSince = null;
  #timers = new Timers(); // silence, probe
  /** @type {(end: End) => void} */
  #onEnd;
  /** @type {(message: Wire.Message) => void} */
  #onMessage;

  /** @type {string | null} the agent that it serves; null until the server has authorised it */
  agentId = null;

  /**
   * @param {string | URL} address
   * @param {(message: Wire.Message) => void} onMessage
   * @param {(end: End) => void} onEnd is called when it has ended, except by `drop`.
   */
  constructor(address, onMessage, onEnd) {
    this.#onMessage = onMessage;
    this.#onEnd = onEnd;
    this.#socket = new WebSocket(address);
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = (event) => this.#end(judge(event, this.#closing));
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Whether it was live for long enough to count as a success. */
  get isStable() {
    return this.#liveSince !== null && performance.now() - this.#liveSince > STABLE_AFTER_MS;
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

  /** Expect an answer soon, when the connection is in doubt: the network changed, or the machine slept. */
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
    this.#timers.cancel("probe");
    /** @type {Wire.Message} */
    let message;
    try {
      message = /** @type {Wire.Message} */ ({ data: {}, ...parse(text) });
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
      this.#pingInterval = message.data.pingInterval || DEFAULT_PING_INTERVAL_MS;
      this.#watch();
    }
    this.#onMessage(message);
  }

  /** Fail after two ping intervals without a frame. */
  #watch() {
    const left = this.#receivedAt + 2 * this.#pingInterval - performance.now();
    if (left <= 0) this.#fail("Nothing received");
    else this.#timers.set("silence", left, () => this.#watch());
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
