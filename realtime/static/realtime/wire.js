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
  "price", "priceUsd", "solPriceUsd", "closedProfitSol", "startProfitSol",
  "exitValueSol", "liquidityUsd", "poolTokens", "poolSol",
  "salePrice", "profitSol", "returnPercent", "winRatePercent", "averageReturnPercent",
]);

/**
 * Parse a frame, or an answer of the REST API. Throws SyntaxError where it is no JSON object.
 *
 * The third argument of a reviver holds the number's own digits (Chrome 114, Firefox 135, Safari 18.4); an older
 * browser gets the shortest digits of the double, right to 15 places.
 *
 * @param {string} text
 */
export function parse(text) {
  const message = JSON.parse(text, (key, value, context) =>
    typeof value === "number" && EXACT.has(key) ? (context?.source ?? String(value)) : value,
  );
  if (message === null || typeof message !== "object") throw new SyntaxError("not a JSON object");
  return message;
}
