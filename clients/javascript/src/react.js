/**
 * The engine's hook `useWebSocket(agentId)`, on this client.
 */

"use client"; // for frameworks that render on a server: there it shows nobody's positions

import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from "react";

import { demand } from "../../../realtime/static/realtime/errors.js";
import { demandToken, tokens } from "./client.js";
import { LivePositions, NOTHING } from "./live-positions.js";

/**
 * @typedef {import("./client.js").Options} Options
 */

/**
 * Options for every `useWebSocket` below: `<NexgentContext.Provider value={{ server, token }}>`.
 *
 * @type {import("react").Context<Partial<Options>>}
 */
export const NexgentContext = createContext({});

/**
 * Follow an agent while the component is mounted.
 *
 * - `positions`: what it holds, each at the newest price; money as strings of digits. Empty until the agent's own have
 *   come. A position that has not changed is the same object as before. They change at most once in an animation frame.
 * - `isConnected`: whether they are up to date.
 * - `state`: what the connection waits for, or why it has ended.
 * - `disconnect` ends it until `connect` or another agent. `connect` also tries again at once, and takes an agent back.
 *
 * @param {string | null} agentId null: nobody is followed.
 * @param {Partial<Options>} [options] in addition to those of `NexgentContext`. Another `server`, `watch`, `quietMs` or
 *   `WebSocket` opens another connection; the functions may be new ones at each render.
 */
export function useWebSocket(agentId, options) {
  const shared = useContext(NexgentContext);
  const given = { ...shared, ...options };
  const { server, watch, WebSocket, quietMs } = given;
  demand(
    agentId === null || (typeof agentId === "string" && agentId !== ""),
    `agentId must be the id of an agent, or null; it is ${agentId}`,
  );
  demandToken(given.token);
  const latest = useRef(given);
  useEffect(() => {
    latest.current = given;
  });
  const live = useMemo(
    () => new LivePositions({ server, watch, WebSocket, quietMs, ...sources(latest) }),
    [server, watch, WebSocket, quietMs],
  );
  const text = typeof given.token === "string" ? given.token : null; // another one after a log-in: try again
  useEffect(() => (agentId === null ? undefined : live.follow(agentId)), [live, agentId, text]);
  const shown = useSyncExternalStore(live.subscribe, live.getSnapshot, () => NOTHING);
  const connect = useCallback(() => {
    if (agentId !== null) live.connect(agentId);
  }, [live, agentId]);
  const disconnect = useCallback(() => live.disconnect(), [live]);
  // Until the effect has run, the store has the agent before.
  const { positions, isConnected, state } = shown.agentId === agentId ? shown : NOTHING;
  return useMemo(
    () => ({ positions, isConnected, state, connect, disconnect }),
    [positions, isConnected, state, connect, disconnect],
  );
}

/**
 * The functions of the options, as of the latest render.
 *
 * @param {{current: Partial<Options>}} latest
 */
function sources(latest) {
  const { ticket, url } = latest.current;
  return {
    token: tokens(() => latest.current.token),
    ...(ticket && { ticket: /** @type {Client.TicketSource} */ (text) => (latest.current.ticket ?? ticket)(text) }),
    ...(url && { url: /** @type {Client.AddressMaker} */ (...known) => (latest.current.url ?? url)(...known) }),
  };
}
