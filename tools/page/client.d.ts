/** The events of a `Nexgent` and what each carries: realtime/static/realtime/nexgent.js. */

declare namespace Client {
  type State =
    | { name: "idle" }
    | { name: "connecting"; again: boolean }
    | { name: "live" }
    | { name: "waiting"; seconds: number; reason: string }
    | { name: "offline" }
    | { name: "taken-over"; reason: string }
    | { name: "unavailable"; reason: string }
    | { name: "refused"; reason: string }
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
}
