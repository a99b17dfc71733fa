/**
 * The server, for a program that is not one of its pages: where it is, whether it speaks this client's version of the
 * protocol, and its tickets.
 */

import { here, socketUrl } from "../../../realtime/static/realtime/base.js";
import { demand, IncompatibleServer } from "../../../realtime/static/realtime/errors.js";

const MAJOR = 1; // of the protocol that this client speaks
const WATCHERS_SINCE = 1; // the minor version
const ANSWER_LIMIT_MS = 10_000;

export class Server {
  #given;
  #watch;
  /** @type {Promise<void> | null} */
  #checked = null;

  /**
   * @param {string | undefined} address with the path below which Nexgent is, if any; undefined for that of the page
   * @param {boolean} watch
   */
  constructor(address, watch) {
    demand(
      address === undefined || (typeof address === "string" && /^https?:\/\/[^/]/.test(address)),
      `server must begin with http:// or https://; it is ${address}`,
    );
    this.#given = address?.replace(/\/+$/, "");
    this.#watch = watch;
  }

  get address() {
    demand(
      this.#given !== undefined || globalThis.location !== undefined,
      "server must say where Nexgent is, since this is no page of it: https://desk.example.org, say",
    );
    return this.#given ?? here();
  }

  /**
   * @param {string} token
   * @param {string} agentId
   * @param {number | null} lastSeq
   * @param {string | null} ticket
   * @param {string} [epoch]
   */
  socketUrl(token, agentId, lastSeq, ticket, epoch) {
    return socketUrl(token, agentId, lastSeq, ticket, epoch, { server: this.address, watch: this.#watch });
  }

  /** Throw IncompatibleServer where this client could do harm, or understand nothing. One request, without a token. */
  async check() {
    this.#checked ??= this.#check();
    try {
      await this.#checked;
    } catch (error) {
      this.#checked = null;
      throw error;
    }
  }

  async #check() {
    const answer = await this.#fetch("/api/asyncapi.yaml");
    if (answer.status >= 500) throw new Error(`The server is not available (${answer.status})`);
    const found = /^ {2}version: ['"]?(\d+)(?:\.(\d+))?/m.exec(answer.ok ? await answer.text() : "");
    if (!found) {
      throw new IncompatibleServer(
        "the server does not describe its socket: it is no Nexgent, or older than this client",
      );
    }
    const [major, minor] = [Number(found[1]), Number(found[2] ?? 0)];
    if (major !== MAJOR) {
      throw new IncompatibleServer(
        `the server is ${major > MAJOR ? "newer" : "older"} than this client: ` +
          `it speaks version ${major} of the protocol, the client ${MAJOR}`,
      );
    }
    if (this.#watch && minor < WATCHERS_SINCE) {
      throw new IncompatibleServer(
        "the server is older than this client: it has no watchers, and a socket would take the agent from its owner",
      );
    }
  }

  /**
   * A ticket; null where there is none to be had: then the token is in the socket's address, and what keeps the server
   * from giving one is said there.
   *
   * @param {string} token
   * @returns {Promise<string | null>}
   */
  async ticket(token) {
    try {
      const answer = await this.#fetch("/api/socket-ticket/", {
        method: "POST",
        headers: { Authorization: `Bearer ${token}` },
      });
      return answer.ok ? /** @type {Wire.SocketTicket} */ (await answer.json()).ticket : null;
    } catch {
      return null;
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} [options]
   */
  #fetch(path, options) {
    return fetch(this.address + path, { ...options, signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
  }
}
