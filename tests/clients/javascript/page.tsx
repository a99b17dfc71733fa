/** A page with the hook, and the README's own component: tests/end_to_end/browser/test_react.py drives it by `desk`. */

import { memo, StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";

import { Decimal, type Position } from "nexgent-client";
import { useWebSocket } from "nexgent-client/react";
import { App } from "./readme_app.js";

/** What has happened so far. */
const counts = { commits: 0, sockets: 0, messages: 0, tokens: 0, rows: {} as Record<string, number> };

class CountedSocket extends WebSocket {
  constructor(address: string | URL, protocols: string[]) {
    super(address, protocols);
    counts.sockets += 1;
    this.addEventListener("message", () => {
      counts.messages += 1;
    });
  }
}

const Row = memo(function Row({ position }: { position: Position }) {
  const { tokenSymbol, positionValueSol, priceStatus } = position;
  useEffect(() => {
    counts.rows[tokenSymbol] = (counts.rows[tokenSymbol] ?? 0) + 1;
  });
  return <li>{`${tokenSymbol}: ${Decimal.of(positionValueSol)} SOL, ${priceStatus}`}</li>;
});

/** With `isText`, the token itself in place of a function. */
function Desk({ agentId, token, isText }: { agentId: string | null; token: string; isText: boolean }) {
  const { positions, isConnected, state, connect, disconnect } = useWebSocket(agentId, {
    token: isText
      ? token
      : async () => {
          counts.tokens += 1;
          return token;
        },
    WebSocket: CountedSocket,
  });
  useEffect(() => {
    counts.commits += 1;
  });
  return (
    <main>
      <p role="status">{isConnected ? "connected" : state.name === "waiting" ? state.reason : state.name}</p>
      <button onClick={isConnected ? disconnect : connect}>{isConnected ? "disconnect" : "connect"}</button>
      <ul>
        {positions.map((each) => (
          <Row key={each.id} position={each} />
        ))}
      </ul>
    </main>
  );
}

const root = createRoot(document.body, {
  onUncaughtError: (error) => {
    document.title = String(error);
  },
});

Object.assign(window, {
  desk: {
    counts,
    show: (agentId: string | null, token: string, isText = false) =>
      root.render(
        <StrictMode>
          <Desk agentId={agentId} token={token} isText={isText} />
        </StrictMode>,
      ),
    example: (agentId: string, token: string) =>
      root.render(
        <StrictMode>
          <App agentId={agentId} token={async () => token} />
        </StrictMode>,
      ),
    leave: () => root.render(null),
  },
});
