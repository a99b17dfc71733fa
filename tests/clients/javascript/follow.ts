/**
 * Follows an agent, and writes what happens as lines of JSON. Each line of standard input is a command: an agent's id to
 * connect to, "disconnect", or an object of options for a second client.
 */

import { createInterface } from "node:readline";

import { LivePositions, LoginRequired, type Options, type Position, type Shown, type State } from "nexgent-client";
import WebSocket from "ws";

const { server, token, login, watch }: { server: string; token?: string; login?: object; watch: boolean } = JSON.parse(
  process.argv[2] ?? "{}",
);

Reflect.deleteProperty(globalThis, "WebSocket"); // as in node 20, whichever node this is

const say = (type: string, what: unknown): void => console.log(JSON.stringify([type, what]));

/** Asks for a token with name and password, each time. */
async function access({ fresh }: { fresh: boolean }): Promise<string> {
  say("token", fresh);
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`${server}/api/token/`, { method: "POST", headers, body: JSON.stringify(login) });
  if (answer.status === 401) throw new LoginRequired();
  return ((await answer.json()) as { access: string }).access;
}

function follow(options: Partial<Options>): LivePositions {
  const live = new LivePositions({ server, token: token ?? access, watch, WebSocket, ...options });
  live.nexgent.addEventListener("event", ({ detail: { seq, eventType } }) => say("event", [seq, eventType]));
  live.nexgent.addEventListener("state", ({ detail }) => say("state", detail satisfies State));
  live.subscribe(() => {
    const { positions, isConnected }: Shown = live.getSnapshot();
    say("shown", [isConnected, positions satisfies readonly Position[]]);
  });
  return live;
}

let live: LivePositions | null = null;
for await (const line of createInterface({ input: process.stdin })) {
  try {
    if (line === "disconnect") live?.disconnect();
    else if (line.startsWith("{")) live = follow(JSON.parse(line) as Partial<Options>);
    else (live ??= follow({})).connect(line);
  } catch (error) {
    say("raised", String(error));
  }
}
