/**
 * What the server says, as `realtime/static/realtime/wire.js` reads it: messages (docs/protocol.md) and answers of the
 * REST API (/api/docs/). tests/realtime/test_page_types.py holds the names to the server's own types.
 */

declare namespace Wire {
  /** A number, digit for digit. */
  type Digits = string;
  /** ISO 8601, UTC. */
  type Timestamp = string;
  /** Of an agent, or of the money in a wallet. */
  type Mode = "live" | "simulation";
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
    // Servers of earlier releases do not have these.
    totalTakeProfitLevels?: number | null;
    tpBatchStartLevel?: number | null;
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

  interface TradeOnRest {
    id: string;
    positionId: string;
    agentId: string;
    walletAddress: string;
    tokenAddress: string;
    tokenSymbol: string;
    side: string;
    tokens: Digits;
    sol: Digits;
    feeSol: Digits;
    solUsd: Digits | null;
    transactionId: string | null;
    executedAt: Timestamp;
    recordedAt: Timestamp;
    reconstructed: boolean;
    note?: string | null; // none from servers of earlier releases
  }

  interface AgentOnRest {
    id: string;
    name: string;
    tradingMode: Mode;
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

  // No note from servers of earlier releases.
  type EventOnRest = (PositionChanged<StoredPosition> | PositionClosed) & { note?: string | null };

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

  interface CandleOnRest {
    start: Timestamp;
    open: Digits;
    high: Digits;
    low: Digits;
    close: Digits;
    closeUsd: Digits | null;
  }

  interface CandlesOnRest {
    tokenAddress: string;
    interval: string;
    candles: CandleOnRest[];
    more: boolean;
  }

  interface ValueOnRest {
    timestamp: Timestamp;
    valueSol: Digits;
    valueUsd: Digits | null;
    solPriceUsd: Digits | null;
    investedSol: Digits;
    realizedProfitSol: Digits;
    netFlowSol: Digits;
    positions: number;
    positionsNotLive: number;
  }

  interface ValueHistoryOnRest {
    agentId: string;
    interval: string;
    points: ValueOnRest[];
    more: boolean;
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
    date: string;
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

  interface PerformanceOnRest {
    closedPositions: number;
    closedProfitSol: Digits;
    winRatePercent: Digits | null;
    averageReturnPercent: Digits | null;
    averageHoldingSeconds: number | null;
    best: ClosedOnRest | null;
    worst: ClosedOnRest | null;
    days: DayOnRest[];
  }

  interface ModeResultsOnRest extends PerformanceOnRest {
    mode: Mode;
    closedInvestedSol: Digits;
    today: TodayOnRest;
  }

  interface ResultsOnRest extends PerformanceOnRest {
    eventSeq: number;
    today: TodayOnRest;
    modes: ModeResultsOnRest[];
  }

  interface RankedOnRest {
    positionId: string;
    tokenSymbol: string;
    profitLossSol: Digits;
    profitLossPercent: Digits;
  }

  interface ModeTotalsOnRest {
    mode: Mode;
    openPositions: number;
    positionsNotLive: number;
    positionValueSol: Digits;
    unrealizedSol: Digits;
    realizedSol: Digits;
    profitLossSol: Digits;
    investedSol: Digits;
    profitLossPercent: Digits;
    todaySol: Digits | null;
    since: Timestamp | null;
    best: RankedOnRest | null;
    worst: RankedOnRest | null;
  }

  interface AgentOverviewOnRest {
    id: string;
    name: string;
    tradingMode: Mode;
    connected: boolean | null;
    modes: ModeTotalsOnRest[];
  }

  interface OverviewOnRest {
    timestamp: Timestamp;
    solPriceUsd: Digits | null;
    agents: AgentOverviewOnRest[];
  }

  interface WalletOnRest {
    address: string;
    agentId: string;
    kind: Mode;
    createdAt: Timestamp;
  }

  // Messages: the `data` of each.

  interface ConnectedData {
    agentId: string;
    timestamp: Timestamp;
    connectionId: string;
    pingInterval: number;
    tokenExpiresAt: Timestamp;
    epoch?: string; // none from servers of earlier releases
    mode?: "own" | "watch"; // likewise
  }

  interface SentPosition extends LivePosition {
    priceKey?: number; // with compact prices
  }

  interface InitialDataData {
    positions: SentPosition[];
    timestamp: Timestamp;
    seq: number;
  }

  type PositionUpdateData = PositionChanged<SentPosition> | PositionClosed;

  interface PriceUpdate {
    tokenAddress: string;
    price: Digits;
    priceUsd: Digits | null;
    priceStatus?: PriceStatus;
    poolTokens?: Digits | null;
    poolSol?: Digits | null;
  }

  type PriceRow = [
    key: number,
    price: Digits,
    priceUsd: Digits | null,
    priceStatus?: PriceStatus | null,
    poolTokens?: Digits | null,
    poolSol?: Digits | null,
  ];

  interface Prices {
    t: number;
    u: PriceRow[];
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

  /** A message as it arrives. */
  type Frame = Message | ({ type: "prices" } & Prices);

  interface SocketTicket {
    ticket: string;
    expiresIn: number;
  }

  // Answers for the page alone.

  interface Session {
    access: string;
    username: string;
    isStaff?: boolean; // none from servers of earlier releases
  }

  interface Page<T> {
    count: number;
    next: string | null;
    results: T[];
  }
}
