/** The events of a `Nexgent` and what each carries: realtime/static/realtime/nexgent.js. */

declare namespace Client {
  type State =
    | { name: "idle" }
    | { name: "connecting"; again: boolean }
    | { name: "live" }
    | { name: "waiting"; seconds: number; reason: string; limit: string }
    | { name: "offline" }
    | { name: "taken-over"; reason: string }
    | { name: "unavailable"; reason: string }
    | { name: "refused"; reason: string }
    | { name: "incompatible"; reason: string }
    | { name: "logged-out" };

  interface Events {
    snapshot: Wire.InitialDataData;
    event: Wire.PositionUpdateData;
    prices: Wire.PriceUpdateBatchData;
    problem: Wire.ErrorData;
    state: State;
  }

  /** An EventTarget whose `addEventListener` knows the events. */
  interface Target extends EventTarget {
    addEventListener<K extends keyof Events>(
      type: K,
      listener: (event: CustomEvent<Events[K]>) => void,
      options?: AddEventListenerOptions | boolean,
    ): void;
    addEventListener(
      type: string,
      listener: EventListenerOrEventListenerObject | null,
      options?: AddEventListenerOptions | boolean,
    ): void;
  }

  /** How to get an access token, a new one where `fresh`. */
  type TokenSource = (options: { fresh: boolean }) => Promise<string>;

  /** How to get a ticket for one socket, for this token; null where there is none to be had. */
  type TicketSource = (token: string) => Promise<string | null>;

  /** Makes a socket's address; `lastSeq` is the number of the last event known, `epoch` that of its database. */
  type AddressMaker = (
    token: string,
    agentId: string,
    lastSeq: number | null,
    ticket: string | null,
    epoch?: string,
  ) => string | URL;

  /** What is used of a WebSocket: a browser's, or that of the npm package `ws`. */
  interface Socket {
    readonly readyState: number;
    onmessage: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    send(text: string): void;
    close(code?: number): void;
  }

  type SocketClass = new (address: string | URL, protocols: string[]) => Socket;
}
