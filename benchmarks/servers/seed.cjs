// What the seed's server does, on Node and `ws`: one connection an agent, prices on a timer, each agent's updates
// gathered and stringified for it. `node seed.cjs PORT`. Its prices are made here: no channel layer, no database.
"use strict";

const { WebSocketServer, WebSocket } = require("ws");

const TOKENS = Number(process.env.BENCHMARK_TOKENS || 200);
const POSITIONS_PER_AGENT = 10;
const SOL_USD = 187.42;
const connections = new Map(); // agentId → { ws, tokens }

// The rules of benchmarks/market.py.
const address = (n) => "BenchmarkTokenAAAAAAAAAAAAAAAAAAAAAAAA" + String(n).padStart(6, "0").replaceAll("0", "z");
const price = (round, n) => (round * 100000 + n + 1) / 1e11;
const holdings = (n) =>
  Array.from({ length: POSITIONS_PER_AGENT }, (_, k) => (7 * n + k * Math.floor(TOKENS / POSITIONS_PER_AGENT)) % TOKENS);

function sendMessage(ws, message) {
  ws.send(JSON.stringify(message));
}

function broadcastPriceUpdates(agentId, updates) {
  const connection = connections.get(agentId);
  if (!connection || connection.ws.readyState !== WebSocket.OPEN) return;
  sendMessage(connection.ws, { type: "price_update_batch", data: { updates, timestamp: new Date().toISOString() } });
}

function priceRound(round) {
  const prices = new Map();
  for (let n = 0; n < TOKENS; n++) {
    prices.set(address(n), { price: price(round, n), priceUsd: price(round, n) * SOL_USD });
  }
  for (const [agentId, { tokens }] of connections) {
    const updates = tokens.map((tokenAddress) => ({ tokenAddress, ...prices.get(tokenAddress) }));
    broadcastPriceUpdates(agentId, updates);
  }
}

function run({ rounds, interval_seconds, first_round }) {
  const begin = performance.now();
  const next = (n) => {
    priceRound(first_round + n);
    if (n + 1 < rounds) setTimeout(next, begin + (n + 1) * interval_seconds * 1000 - performance.now(), n + 1);
  };
  next(0);
}

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]) });
server.on("connection", (ws, request) => {
  const agentId = new URL(request.url, "http://127.0.0.1").searchParams.get("agentId");
  connections.get(agentId)?.ws.close(1000, "New connection established");
  connections.set(agentId, { ws, tokens: holdings(parseInt(agentId.slice(-12), 16)).map(address) });
  ws.on("message", (text) => {
    const message = JSON.parse(text);
    if (message.type === "run") run(message);
  });
  ws.on("close", () => {
    if (connections.get(agentId)?.ws === ws) connections.delete(agentId);
  });
  sendMessage(ws, { type: "connected", data: { agentId } });
  sendMessage(ws, { type: "initial_data", data: { positions: [] } });
});
