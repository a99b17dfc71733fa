/**
 * The page's own client (nexgent.js, where its events and states are described) for other programs: it is told where
 * the server is, and makes sure that it speaks the same protocol before it opens a socket.
 */

import { demand, LoginRequired } from "../../../realtime/static/realtime/errors.js";
import { Nexgent as PageNexgent } from "../../../realtime/static/realtime/nexgent.js";
import { Server } from "./server.js";

/**
 * - `server`: "https://desk.example.org", with the path below which Nexgent is, if any. By default, where the page is.
 * - `token`: returns an access token, a new one where `fresh`; rejects with LoginRequired where only the user can help.
 *   Or a token's text, which cannot be renewed.
 * - `watch`: false to own the agent. The newest owner ends the one before; one that watches ends nobody.
 * - `WebSocket`: the class of the package `ws`, where JavaScript has none (node 20).
 * - `ticket`, `url`, `quietMs`: as nexgent.js has them.
 *
 * @typedef {object} Options
 * @property {string} [server]
 * @property {Client.TokenSource | string} token
 * @property {boolean} [watch]
 * @property {Client.SocketClass} [WebSocket]
 * @property {Client.TicketSource} [ticket]
 * @property {Client.AddressMaker} [url]
 * @property {number} [quietMs]
 */

const FOLLOWING = new Set(["connecting", "live", "waiting", "offline"]);

export class Nexgent extends PageNexgent {
  /** @type {Map<string, Nexgent>} by server and agent: a second owner in one program would end the first */
  static #owners = new Map();
  /** @type {string | null} */
  #owned = null;
  #server;
  #watch;

  /** @param {Options} options */
  constructor(options) {
    demand(typeof options === "object" && options !== null, "options are missing: new Nexgent({ server, token })");
    const { server: address, token, watch = true, ...others } = options;
    demand(typeof watch === "boolean", `watch must be true or false; it is ${watch}`);
    const server = new Server(address, watch);
    const source = tokens(() => token);
    super({
      ticket: (text) => server.ticket(text),
      url: (...known) => server.socketUrl(...known),
      ...others,
      token: async (wanted) => {
        await server.check();
        return source(wanted);
      },
    });
    this.#server = server;
    this.#watch = watch;
    this.addEventListener("state", ({ detail }) => FOLLOWING.has(detail.name) || this.#release());
  }

  /**
   * @param {string} agentId
   * @throws {TypeError} for what can only be a mistake in the program; Error where another client in this program owns
   *   the agent.
   * @override
   */
  connect(agentId) {
    const key = `${this.#server.address} ${agentId}`;
    const owner = Nexgent.#owners.get(key);
    if (!this.#watch && owner !== undefined && owner !== this) {
      throw new Error(`this program owns agent ${agentId} already: close that client, or watch (watch: true)`);
    }
    super.connect(agentId);
    this.#release();
    if (this.#watch) return;
    this.#owned = key;
    Nexgent.#owners.set(key, this);
  }

  #release() {
    if (this.#owned !== null) Nexgent.#owners.delete(this.#owned);
    this.#owned = null;
  }
}

/**
 * Tokens as `Nexgent` takes them, of what the program gives.
 *
 * @param {() => unknown} given a function that returns tokens, or a token's text; asked each time
 * @returns {Client.TokenSource}
 */
export function tokens(given) {
  demandToken(given());
  let used = "";
  return async (wanted) => {
    const token = given();
    if (typeof token !== "string") return /** @type {Client.TokenSource} */ (token)(wanted);
    if (wanted.fresh && token === used) throw new LoginRequired("The server does not accept this token any more.");
    used = token;
    return token;
  };
}

/** @param {unknown} token */
export function demandToken(token) {
  const isToken = typeof token === "function" || (typeof token === "string" && token !== "");
  demand(isToken, `token must be a function that returns an access token, or the text of one; it is ${token}`);
}
