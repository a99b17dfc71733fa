/**
 * The order of one agent's messages: which come next, which are old, and where something is missing. Over all
 * connections of a `Nexgent` to that agent; no I/O.
 */

export class Stream {
  /** @type {"subscribed" | "snapshot" | null} what the stream begins with; null while it flows */
  #awaiting = "snapshot";
  #recovering = false; // missing events were requested, and none has come since
  /** @type {number | null} the number of the last event that was passed on */
  seq = null;
  /** @type {string | undefined} the epoch of the database that `seq` is from; none from servers of earlier releases */
  epoch;
  /** @type {string | undefined} */
  #newEpoch;

  get flows() {
    return this.#awaiting === null;
  }

  /** A new connection begins, from `seq` on. */
  restart() {
    this.#recovering = false;
    this.#awaiting = this.seq === null ? "snapshot" : "subscribed";
  }

  /** @param {Wire.ConnectedData} data */
  connected({ epoch }) {
    this.#newEpoch = epoch;
  }

  /** `subscribe` is sent on the open connection, with `seq`. */
  resubscribe() {
    this.#awaiting = "subscribed";
  }

  /**
   * Returns whether this answers what was sent last.
   *
   * @param {Wire.SubscribedData} data
   */
  subscribed({ recovered }) {
    if (this.#awaiting !== "subscribed") return false;
    this.#awaiting = recovered ? null : "snapshot";
    if (recovered) this.epoch = this.#newEpoch;
    return true;
  }

  /**
   * Returns whether the snapshot is this agent's; else it is of the agent before.
   *
   * @param {Wire.InitialDataData} data
   */
  snapshot({ seq }) {
    if (this.#awaiting === "subscribed") return false;
    this.#awaiting = null;
    this.#recovering = false;
    this.seq = seq;
    this.epoch = this.#newEpoch;
    return true;
  }

  /**
   * Returns "next" for the event to pass on, "old" for one to ignore, "gap" where the missing ones must be requested,
   * and "lost" where requesting them has not helped.
   *
   * @param {Wire.PositionUpdateData} data
   */
  event({ seq }) {
    if (this.#awaiting !== null || this.seq === null || seq <= this.seq) return "old";
    if (seq === this.seq + 1) {
      this.#recovering = false;
      this.seq = seq;
      return "next";
    }
    if (this.#recovering) return "lost";
    this.#recovering = true;
    return "gap";
  }
}
