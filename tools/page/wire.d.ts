/**
 * What the server says, as `realtime/static/realtime/wire.js` reads it: messages (docs/protocol.md) and answers of the
 * REST API (/api/docs/). tests/realtime/test_page_types.py holds the names to the server's own types.
 */

declare namespace Wire {
  /** A number, digit for digit. */
  type Digits = string;
  /** ISO 8601, UTC. */
  type Timestamp = string;
  type PriceStatus = "live" | "stale" | "thin" | "gone" | "none";

  interface StoredPosition {
    id: string;
    agentId: string;
    walletAddress: string;
    tokenAddress: string;
    tokenSymbol: string;
    purchaseTransactionId: string | null;
    purchasePrice: Digits;
    purchaseAmount: Digits;
    totalInvestedSol: Digits;
    remainingAmount: Digits;
    realizedProfitSol: Digits;
    // Servers of earlier releases do not have these.
    costUsd?: Digits | null;
    realizedProfitUsd?: Digits | null;
    currentStopLossPercentage: Digits | null;
    peakPrice: Digits | null;
    lastStopLossUpdate: Timestamp | null;
    dcaCount: number;
    lastDcaTime: Timestamp | null;
    lowestPrice: Digits | null;
    dcaTransactionIds: string[];
    takeProfitLevelsHit: number;
    takeProfitTransactionIds: string[];
    lastTakeProfitTime: Timestamp | null;
    moonBagActivated: boolean;
    moonBagAmount: Digits | null;
    createdAt: Timestamp;
    updatedAt: Timestamp;
  }

  interface LivePosition extends StoredPosition {
    currentPrice: Digits;
    currentPriceUsd: Digits | null;
    priceSource: "live" | "purchase";
    priceTimestamp: Timestamp | null;
    purchasePriceUsd: Digits | null;
    positionValueSol: Digits;
    positionValueUsd: Digits | null;
    profitLossSol: Digits;
    profitLossUsd: Digits | null;
    profitLossPercent: Digits;
    priceChangePercent: Digits;
    // Servers of earlier releases do not have these.
    priceStatus?: PriceStatus | undefined;
    liquidityUsd?: Digits | null;
    exitValueSol?: Digits | null;
    profitLossUsdAtCost?: Digits | null;
  }

  interface PositionOnRest extends LivePosition {
    status: string;
    closedAt: Timestamp | null;
    closeReason: string | null;
    salePrice: Digits | null;
  }

  interface AgentOnRest {
    id: string;
    name: string;
    tradingMode: string;
    eventSeq: number;
    openPositions: number;
    createdAt: Timestamp;
    updatedAt: Timestamp;
  }

  interface PositionChanged<P> {
    eventType: "position_created" | "position_updated";
    position: P;
    positionId?: undefined;
    seq: number;
    timestamp: Timestamp;
  }

  interface PositionClosed {
    eventType: "position_closed";
    position?: undefined;
    positionId: string;
    seq: number;
    timestamp: Timestamp;
  }

  type EventOnRest = PositionChanged<StoredPosition> | PositionClosed;

  interface PriceOnRest {
    tokenAddress: string;
    price: Digits;
    priceUsd: Digits | null;
    timestamp: Timestamp;
    // Likewise.
    priceStatus?: PriceStatus;
    liquidityUsd?: Digits | null;
    poolTokens?: Digits | null;
    poolSol?: Digits | null;
    answeredAt?: Timestamp;
  }

  interface PricesOnRest {
    source: string | null;
    simulated: boolean | null;
    stale: boolean;
    solPriceUsd: Digits | null;
    updatedAt: Timestamp | null;
    errors: string[];
    prices: PriceOnRest[];
  }

  interface TodayOnRest {
    since: Timestamp | null;
    startProfitSol: Digits | null;
    closedProfitSol: Digits;
  }

  interface ClosedOnRest {
    positionId: string;
    tokenSymbol: string;
    profitSol: Digits;
    returnPercent: Digits | null;
    closedAt: Timestamp;
  }

  interface DayOnRest {
    date: string;
    profitSol: Digits;
    closedPositions: number;
  }

  interface ResultsOnRest {
    closedPositions: number;
    closedProfitSol: Digits;
    winRatePercent: Digits | null;
    averageReturnPercent: Digits | null;
    averageHoldingSeconds: number | null;
    best: ClosedOnRest | null;
    worst: ClosedOnRest | null;
    days: DayOnRest[];
    today: TodayOnRest;
  }

  // Messages: the `data` of each.

  interface ConnectedData {
    agentId: string;
    timestamp: Timestamp;
    connectionId: string;
    pingInterval: number;
    tokenExpiresAt: Timestamp;
  }

  interface InitialDataData {
    positions: LivePosition[];
    timestamp: Timestamp;
    seq: number;
  }

  type PositionUpdateData = PositionChanged<LivePosition> | PositionClosed;

  interface PriceUpdate {
    tokenAddress: string;
    price: Digits;
    priceUsd: Digits | null;
    priceStatus?: PriceStatus;
    poolTokens?: Digits | null;
    poolSol?: Digits | null;
  }

  interface PriceUpdateBatchData {
    updates: PriceUpdate[];
    timestamp: Timestamp;
  }

  interface SubscribedData {
    agentId: string;
    seq: number;
    recovered: boolean;
  }

  interface RefreshedData {
    tokenExpiresAt: Timestamp;
  }

  interface ClosingData {
    code: number;
    reason: string;
    reconnect: boolean;
    retryAfter: number;
  }

  interface ErrorData {
    code: string;
    message: string;
  }

  type Message =
    | { type: "connected"; data: ConnectedData }
    | { type: "initial_data"; data: InitialDataData }
    | { type: "position_update"; data: PositionUpdateData }
    | { type: "price_update_batch"; data: PriceUpdateBatchData }
    | { type: "ping"; timestamp: Timestamp }
    | { type: "pong"; timestamp: Timestamp }
    | { type: "subscribed"; data: SubscribedData }
    | { type: "refreshed"; data: RefreshedData }
    | { type: "closing"; data: ClosingData }
    | { type: "error"; data: ErrorData };

  // Answers for the page alone.

  interface Session {
    access: string;
    username: string;
  }

  interface Page<T> {
    count: number;
    next: string | null;
    results: T[];
  }
}
