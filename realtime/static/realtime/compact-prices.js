/**
 * Compact prices (docs/protocol.md): rows with a number for each token, in place of updates. For one connection, over
 * which the numbers are valid.
 */

export const SUBPROTOCOL = "nexgent.compact.v1";

export class CompactPrices {
  /** @type {Map<number, string>} the tokens' addresses */
  #tokens = new Map();

  /**
   * Learn the keys that a message tells, and return the message, rows as the updates that they stand for.
   *
   * @param {Wire.Frame} message
   * @returns {Wire.Message}
   */
  read(message) {
    if (message.type === "prices") return this.#updates(message);
    if (message.type === "initial_data") message.data.positions.forEach((position) => this.#learn(position));
    else if (message.type === "position_update" && message.data.position) this.#learn(message.data.position);
    return message;
  }

  /** @param {Wire.SentPosition} position */
  #learn({ priceKey, tokenAddress }) {
    if (priceKey !== undefined) this.#tokens.set(priceKey, tokenAddress);
  }

  /**
   * @param {Wire.Prices} message
   * @returns {Wire.Message}
   */
  #updates({ t, u }) {
    /** @type {Wire.PriceUpdate[]} */
    const updates = [];
    for (const row of u) {
      const [key, price, priceUsd, priceStatus, poolTokens, poolSol] = row;
      const tokenAddress = this.#tokens.get(key);
      if (tokenAddress === undefined) continue; // one of the agent before
      /** @type {Wire.PriceUpdate} */
      const update = { tokenAddress, price, priceUsd };
      if (priceStatus) update.priceStatus = priceStatus;
      if (row.length > 4) Object.assign(update, { poolTokens, poolSol });
      updates.push(update);
    }
    return { type: "price_update_batch", data: { updates, timestamp: new Date(t).toISOString() } };
  }
}
