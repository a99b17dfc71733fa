/**
 * Tickets: each opens one socket, in whose address it stands in for the access token.
 *
 * @import { Session } from "./session.js"
 */

import { RequestFailed } from "./session.js";

/** @typedef {{text: string | null, usableUntil: number}} Ticket text: null where the server has none to give */

export class Tickets {
  #session;
  /** @type {Promise<Ticket> | null} */
  #prepared = null;

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
  }

  /** Ask for the next one now: a socket will be opened soon. */
  prepare() {
    this.#prepared = this.#ask();
    this.#prepared.catch(() => {}); // who takes it asks again
  }

  /**
   * A ticket that was not used yet; null where the server has none to give, so that the token must do. Throws
   * LoginRequired or RequestFailed.
   */
  async take() {
    const prepared = this.#prepared;
    this.#prepared = null;
    const ticket = await prepared?.catch(() => null);
    if (ticket && performance.now() < ticket.usableUntil) return ticket.text;
    return (await this.#ask()).text;
  }

  /** @returns {Promise<Ticket>} */
  async #ask() {
    const asked = performance.now();
    try {
      const answer = await this.#session.request("/api/socket-ticket/", { method: "POST" });
      const { ticket, expiresIn } = /** @type {Wire.SocketTicket} */ (answer);
      // The other half is for the way of the handshake.
      return { text: ticket, usableUntil: asked + (1000 * expiresIn) / 2 };
    } catch (error) {
      // 404: a server of the release before, during a rolling restart.
      const hasNone = error instanceof RequestFailed && (error.status === 404 || error.status >= 500);
      if (!hasNone) throw error;
      return { text: null, usableUntil: Infinity };
    }
  }
}
