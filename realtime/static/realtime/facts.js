/**
 * The figures of one position in the details: a list of names and values, whose titles explain them.
 *
 * @import { Note } from "./price-status.js"
 */

import { stopLossPrice } from "./accounting.js";
import { sol, usd } from "./cells.js";
import { byId, make } from "./dom.js";
import * as format from "./format.js";

/**
 * Write the figures.
 *
 * @param {Wire.LivePosition} position
 * @param {Note} note how reliable its price is
 * @param {Wire.Digits | null} liquidityUsd
 */
export function showFacts(position, note, liquidityUsd) {
  const stop = stopLossPrice(position.purchasePrice, position.currentStopLossPercentage);
  /** @param {Wire.Digits | null} digits */
  const price = (digits) => (digits === null ? format.UNKNOWN : `${format.price(digits)} SOL`);
  /**
   * @param {number} count
   * @param {Wire.Timestamp | null} last
   */
  const times = (count, last) =>
    count ? `${count}×, last ${last ? format.moment(last) : format.UNKNOWN}` : format.UNKNOWN;
  const current = price(position.priceSource === "live" ? position.currentPrice : null);
  /** @type {[name: string, text: string, title?: string][]} */
  const facts = [
    ["Held", `${format.amount(position.remainingAmount)} of ${format.amount(position.purchaseAmount)} bought`],
    ["Average price", price(position.purchasePrice)],
    ["Current price", note.brief ? `${current} (${note.brief})` : current, note.meaning],
    ["Exit value", ...exitValue(position)],
    ["Liquidity", format.usd(liquidityUsd), usd(liquidityUsd)],
    ["Invested", `${format.sol(position.totalInvestedSol)} SOL`],
    ["Realised", `${format.sol(position.realizedProfitSol, format.signed)} SOL`],
    ...profitAtCost(position),
    [
      "Stop loss",
      stop === null ? format.UNKNOWN : `${format.chosenPercent(position.currentStopLossPercentage)}, at ${price(stop)}`,
    ],
    ["Peak price", price(position.peakPrice)],
    ["Lowest price", price(position.lowestPrice)],
    ["Bought more", times(position.dcaCount, position.lastDcaTime)],
    ["Profit taken", times(position.takeProfitLevelsHit, position.lastTakeProfitTime)],
    ["Moon bag", position.moonBagActivated ? format.amount(position.moonBagAmount) : format.UNKNOWN],
    ["Opened", format.moment(position.createdAt)],
  ];
  const list = byId("details-facts");
  if (list.childElementCount !== 2 * facts.length) {
    list.replaceChildren(...facts.flatMap(() => [make("dt"), make("dd")]));
  }
  facts.forEach(([name, text, title = ""], index) => {
    const [term, figure] = [list.children[2 * index], list.children[2 * index + 1]];
    if (term.textContent !== name) term.textContent = name;
    if (figure.textContent !== text) figure.textContent = text;
    if (figure instanceof HTMLElement && figure.title !== title) figure.title = title;
  });
}

/**
 * The profit in USD with each trade at the price of SOL at its time, with the title that explains it; nothing where the
 * server is of an earlier release.
 *
 * @param {Wire.LivePosition} position
 * @returns {[name: string, text: string, title: string][]}
 */
function profitAtCost({ profitLossUsdAtCost = null, costUsd, realizedProfitUsd }) {
  if (costUsd === undefined) return [];
  let title = `${profitLossUsdAtCost} USD, with each trade at the price of SOL at its time`;
  if (profitLossUsdAtCost === null) title = "The price of SOL in USD is not known now";
  if (costUsd === null || realizedProfitUsd === null) {
    title = "The price of SOL in USD is not known for the time of one of its trades";
  }
  return [["Profit at cost in USD", format.usd(profitLossUsdAtCost, format.signed), title]];
}

/**
 * What selling all of it now would bring, with the title that explains it.
 *
 * @param {Wire.LivePosition} position
 * @returns {[text: string, title: string]}
 */
function exitValue({ exitValueSol = null }) {
  if (exitValueSol === null) return [format.UNKNOWN, "The price source does not report the pool's reserves"];
  return [`${format.sol(exitValueSol)} SOL`, `Selling all of it now, by the pool's reserves: ${sol(exitValueSol)}`];
}
