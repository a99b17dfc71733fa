/**
 * Frames to messages, with every price and amount kept digit for digit.
 */

// The fields that are money or amounts: read as text, never through a double.
const EXACT = new Set([
  "purchasePrice", "purchaseAmount", "totalInvestedSol", "remainingAmount", "realizedProfitSol",
  "currentStopLossPercentage", "peakPrice", "lowestPrice", "moonBagAmount",
  "currentPrice", "currentPriceUsd", "purchasePriceUsd", "positionValueSol", "positionValueUsd",
  "profitLossSol", "profitLossUsd", "profitLossUsdAtCost", "costUsd", "realizedProfitUsd",
  "profitLossPercent", "priceChangePercent",
  "price", "priceUsd", "solPriceUsd", "closedProfitSol", "closedInvestedSol", "startProfitSol",
  "unrealizedSol", "realizedSol", "investedSol", "todaySol",
  "exitValueSol", "liquidityUsd", "poolTokens", "poolSol",
  "tokens", "sol", "feeSol", "solUsd",
  "salePrice", "profitSol", "returnPercent", "winRatePercent", "averageReturnPercent",
  "open", "high", "low", "close", "closeUsd", "valueSol", "valueUsd", "netFlowSol",
]);

const NUMBER = String.raw`-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?`;
// A string, with the number after it where it is a key; or an element of a list, but the first. (A reviver that is
// given each number's digits took six times as long for a round of prices, and older engines have none.)
const TOKENS = new RegExp(String.raw`"([^"\\]*(?:\\.[^"\\]*)*)"(?:(\s*:\s*)(${NUMBER}))?|(,\s*)(${NUMBER})`, "g");
// A `prices` message, which comes many times a second: nothing but numbers and the names of statuses.
const ROW = String.raw`\[\d+(?:,(?:${NUMBER}|null|"[a-z]+"))+\]`;
const PRICES = new RegExp(String.raw`^\{"type":"prices","t":\d+,"u":\[(?:${ROW},?)*\]\}$`);
const FIGURES = new RegExp(`,(${NUMBER})`, "g");

/**
 * Parse a frame, or an answer of the REST API. Throws SyntaxError where it is no JSON object.
 *
 * @param {string} text
 */
export function parse(text) {
  const message = JSON.parse(PRICES.test(text) ? text.replace(FIGURES, ',"$1"') : text.replace(TOKENS, quoted));
  if (message === null || typeof message !== "object") throw new SyntaxError("not a JSON object");
  return message;
}

/**
 * What is money or an amount, as a string. Lists with numbers are rows of prices: the key, then money or amounts.
 *
 * @param {string} token
 * @param {string | undefined} key
 * @param {string | undefined} colon
 * @param {string | undefined} digits
 * @param {string | undefined} comma
 * @param {string | undefined} element
 */
function quoted(token, key, colon, digits, comma, element) {
  if (element !== undefined) return `${comma}"${element}"`;
  return digits !== undefined && EXACT.has(key ?? "") ? `"${key}"${colon}"${digits}"` : token;
}
