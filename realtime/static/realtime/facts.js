/**
 * The figures of one position in the details: a list of names and values, whose titles explain them.
 *
 * @import { Note } from "./price-status.js"
 */

import { stopLossPrice } from "./accounting.js";
import { sol, usd } from "./cells.js";
import { moneyOf } from "./currency.js";
import { byId, make, say } from "./dom.js";
import * as format from "./format.js";
import * as times from "./times.js";

/** @typedef {[name: string, text: string, title?: string]} Fact */

/**
 * Write the figures of an open position.
 *
 * @param {Wire.LivePosition} position
 * @param {Note} note how reliable its price is
 * @param {Wire.Digits | null} liquidityUsd
 */
export function showFacts(position, note, liquidityUsd) {
  const money = moneyOf(position);
  const stop = stopLossPrice(position.purchasePrice, position.currentStopLossPercentage);
  const current = money.price(position.priceSource === "live" ? position.currentPrice : null);
  const { realizedProfitSol, totalInvestedSol } = position;
  writeFacts([
    ["Held", `${format.amount(position.remainingAmount)} of ${format.amount(position.purchaseAmount)} bought`],
    ["Average price", money.price(position.purchasePrice), sol(position.purchasePrice)],
    ["Current price", note.brief ? `${current} (${note.brief})` : current, note.meaning],
    ["Exit value", ...exitValue(position, money)],
    ["Liquidity", format.usd(liquidityUsd), usd(liquidityUsd)],
    ["Invested", money.sum(totalInvestedSol), sol(totalInvestedSol)],
    ["Realised", money.sum(realizedProfitSol, format.signed), sol(realizedProfitSol)],
    ...profitAtCost(position),
    [
      "Stop loss",
      stop === null
        ? format.UNKNOWN
        : `${format.chosenPercent(position.currentStopLossPercentage)}, at ${money.price(stop)}`,
    ],
    ["Peak price", money.price(position.peakPrice), sol(position.peakPrice)],
    ["Lowest price", money.price(position.lowestPrice), sol(position.lowestPrice)],
    ...history(position),
    ["Wallet", format.shortAddress(position.walletAddress), position.walletAddress],
  ]);
}

/**
 * Write the figures of a position that is closed.
 *
 * @param {Wire.PositionOnRest} position
 */
export function showClosedFacts(position) {
  const money = moneyOf(position);
  const { closedAt, closeReason, totalInvestedSol, salePrice } = position;
  const held = closedAt === null ? NaN : Date.parse(closedAt) - Date.parse(position.createdAt);
  writeFacts([
    ["Bought", format.amount(position.purchaseAmount), position.purchaseAmount],
    ["Average price", money.price(position.purchasePrice), sol(position.purchasePrice)],
    ["Sold at", money.price(salePrice), salePrice === null ? "" : `${salePrice} SOL on average, net of fees`],
    ["Invested", money.sum(totalInvestedSol), sol(totalInvestedSol)],
    ...profitAtCost(position),
    ["Peak price", money.price(position.peakPrice), sol(position.peakPrice)],
    ["Lowest price", money.price(position.lowestPrice), sol(position.lowestPrice)],
    ...history(position),
    ["Closed", closedAt === null ? format.UNKNOWN : times.moment(closedAt), closedAt ?? ""],
    ["Held for", times.seconds(held)],
    ["Reason", closeReason ?? format.UNKNOWN],
    ["Wallet", format.shortAddress(position.walletAddress), position.walletAddress],
  ]);
}

/**
 * What has been done with the position.
 *
 * @param {Wire.LivePosition} position
 * @returns {Fact[]}
 */
function history(position) {
  /**
   * @param {number} count
   * @param {Wire.Timestamp | null} last
   * @param {number | null} [planned]
   */
  const often = (count, last, planned = null) =>
    count
      ? `${format.levels(count, planned)}, last ${last ? times.moment(last) : format.UNKNOWN}`
      : format.levels(count, planned);
  return [
    ["Bought more", often(position.dcaCount, position.lastDcaTime)],
    ["Profit taken", often(position.takeProfitLevelsHit, position.lastTakeProfitTime, position.totalTakeProfitLevels)],
    ["Moon bag", position.moonBagActivated ? format.amount(position.moonBagAmount) : format.UNKNOWN],
    ["Opened", times.moment(position.createdAt)],
  ];
}

/** @param {Fact[]} facts */
function writeFacts(facts) {
  const list = byId("details-facts");
  if (list.childElementCount !== 2 * facts.length) {
    list.replaceChildren(...facts.flatMap(() => [make("dt"), make("dd")]));
  }
  facts.forEach(([name, text, title = ""], index) => {
    const [term, figure] = [list.children[2 * index], list.children[2 * index + 1]];
    if (term.textContent !== name) term.textContent = name;
    say(figure, text);
    if (figure instanceof HTMLElement && figure.title !== title) figure.title = title;
  });
}

/**
 * The profit in USD with each trade at the price of SOL at its time, with the title that explains it; nothing where the
 * server is of an earlier release.
 *
 * @param {Wire.LivePosition} position
 * @returns {Fact[]}
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
 * @param {import("./currency.js").Money} money
 * @returns {[text: string, title: string]}
 */
function exitValue({ exitValueSol = null }, money) {
  if (exitValueSol === null) return [format.UNKNOWN, "The price source does not report the pool's reserves"];
  return [money.sum(exitValueSol), `Selling all of it now, by the pool's reserves: ${sol(exitValueSol)}`];
}
