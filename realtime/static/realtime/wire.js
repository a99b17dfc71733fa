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

// Whether a reviver is given each number's own digits: Chrome 114, Firefox 135, Safari 18.4, node 21.
const GIVES_DIGITS = JSON.parse("1", (_key, _value, context) => context?.source) === "1";

// A string, which is left alone, or a number.
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/**
 * Parse a frame, or an answer of the REST API. Throws SyntaxError where it is no JSON object.
 *
 * @param {string} text
 */
export function parse(text) {
  const message = GIVES_DIGITS ? JSON.parse(text, readNumber) : JSON.parse(quoted(text), readQuoted);
  if (message === null || typeof message !== "object") throw new SyntaxError("not a JSON object");
  return message;
}

/**
 * Lists with numbers are rows of compact prices: the key, then money or amounts.
 *
 * @param {unknown} holder
 * @param {string} key
 */
const isExact = (holder, key) => EXACT.has(key) || (key !== "0" && Array.isArray(holder));

/**
 * @this {unknown}
 * @param {string} key
 * @param {unknown} value
 * @param {{source?: string}} [context]
 */
function readNumber(key, value, context) {
  return typeof value === "number" && isExact(this, key) ? context?.source : value;
}

/**
 * For engines that give no digits: each number as `{"": "its digits"}`. The server names no field "".
 *
 * @param {string} text
 */
function quoted(text) {
  return text.replace(STRING_OR_NUMBER, (token) => (token.startsWith('"') ? token : `{"":"${token}"}`));
}

/**
 * @this {unknown}
 * @param {string} key
 * @param {unknown} value
 */
function readQuoted(key, value) {
  if (typeof value !== "object" || value === null || !("" in value)) return value;
  return isExact(this, key) ? value[""] : Number(value[""]);
}
