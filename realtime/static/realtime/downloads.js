/**
 * What an agent has done, as CSV: its trades, events and closed positions, all of them.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Session } from "./session.js"
 */

import * as api from "./api.js";
import { csv } from "./csv.js";
import { byId } from "./dom.js";
import { isAborted } from "./session.js";

/** @type {Record<string, (trade: Wire.TradeOnRest) => string | null>} */
const TRADES = {
  executed_at: ({ executedAt }) => executedAt,
  side: ({ side }) => side,
  symbol: ({ tokenSymbol }) => tokenSymbol,
  mint: ({ tokenAddress }) => tokenAddress,
  wallet: ({ walletAddress }) => walletAddress,
  tokens: ({ tokens }) => tokens,
  sol: ({ sol }) => sol,
  fee_sol: ({ feeSol }) => feeSol,
  sol_usd: ({ solUsd }) => solUsd,
  transaction_id: ({ transactionId }) => transactionId,
  position: ({ positionId }) => positionId,
  note: ({ note }) => note ?? null,
};
/** @type {Record<string, (event: Wire.EventOnRest) => string | number | null | undefined>} */
const EVENTS = {
  number: ({ seq }) => seq,
  time: ({ timestamp }) => timestamp,
  event: ({ eventType }) => eventType,
  position: ({ position, positionId }) => position?.id ?? positionId,
  symbol: ({ position }) => position?.tokenSymbol,
  mint: ({ position }) => position?.tokenAddress,
  wallet: ({ position }) => position?.walletAddress,
  held: ({ position }) => position?.remainingAmount,
  average_price_sol: ({ position }) => position?.purchasePrice,
  invested_sol: ({ position }) => position?.totalInvestedSol,
  realised_sol: ({ position }) => position?.realizedProfitSol,
  stop_loss_percent: ({ position }) => position?.currentStopLossPercentage,
  note: ({ note }) => note,
};
/** @type {Record<string, (position: Wire.PositionOnRest) => string | null>} */
const CLOSED = {
  opened: ({ createdAt }) => createdAt,
  closed: ({ closedAt }) => closedAt,
  symbol: ({ tokenSymbol }) => tokenSymbol,
  mint: ({ tokenAddress }) => tokenAddress,
  wallet: ({ walletAddress }) => walletAddress,
  bought: ({ purchaseAmount }) => purchaseAmount,
  average_price_sol: ({ purchasePrice }) => purchasePrice,
  sale_price_sol: ({ salePrice }) => salePrice,
  invested_sol: ({ totalInvestedSol }) => totalInvestedSol,
  result_sol: ({ profitLossSol }) => profitLossSol,
  return_percent: ({ profitLossPercent }) => profitLossPercent,
  reason: ({ closeReason }) => closeReason,
  position: ({ id }) => id,
};

export class Downloads {
  #session;
  #agent;
  #onError;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {() => ChosenAgent | null} options.agent the one that is shown
   * @param {(text: string) => void} options.onError
   */
  constructor({ session, agent, onError }) {
    this.#session = session;
    this.#agent = agent;
    this.#onError = onError;
    this.#wire("trades", async ({ id, signal }) => csv(TRADES, await api.trades(session, id, signal)));
    this.#wire("events", async ({ id, signal }) => csv(EVENTS, await api.allEvents(session, id, signal)));
    this.#wire("closed", async ({ id, signal }) => {
      const { results } = await api.closedPositions(this.#session, id, Infinity, signal);
      return csv(CLOSED, results);
    });
  }

  /**
   * @param {string} name
   * @param {(agent: ChosenAgent) => Promise<string>} read
   */
  #wire(name, read) {
    const button = byId(`csv-${name}`, HTMLButtonElement);
    button.addEventListener("click", async () => {
      const agent = this.#agent();
      if (!agent) return;
      button.disabled = true;
      try {
        save(await read(agent), `${agent.name} ${name} ${new Date().toISOString().slice(0, 10)}.csv`);
      } catch (error) {
        if (isAborted(error)) return;
        this.#onError(`The file could not be made: ${error instanceof Error ? error.message : error}`);
      } finally {
        button.disabled = false;
      }
    });
  }
}

/**
 * Have the browser save a file.
 *
 * @param {string} text
 * @param {string} name
 */
function save(text, name) {
  // The mark at the start tells spreadsheets that it is UTF-8.
  const address = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name.replace(/[^\p{L}\p{N} ._-]/gu, "_") });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
