/**
 * What a browser says of its network, and that its window is seen again. A worker says nothing of windows, and node
 * nothing at all.
 */

export class Network {
  /** Whether the browser has said that it has no network. */
  isLost = false;
  #onChange;
  #onSeen;
  /** @type {AbortController | null} ends the listeners on the window; from `listen` to `stop` */
  #listening = null;

  /**
   * @param {object} handlers
   * @param {() => void} handlers.onChange `isLost` has been said anew.
   * @param {() => void} handlers.onSeen
   */
  constructor({ onChange, onSeen }) {
    this.#onChange = onChange;
    this.#onSeen = onSeen;
  }

  /** Listen to the window until `stop`: the window keeps its listeners alive. */
  listen() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    // `navigator.onLine` is no help: it is always false on a machine whose only network is its own loopback.
    this.isLost = false;
    globalThis.addEventListener?.("offline", () => this.#change(true), { signal });
    globalThis.addEventListener?.("online", () => this.#change(false), { signal });
    const page = globalThis.document; // none in a worker and in node
    page?.addEventListener("visibilitychange", () => page.hidden || this.#onSeen(), { signal });
  }

  stop() {
    this.#listening?.abort();
    this.#listening = null;
  }

  /** @param {boolean} isLost */
  #change(isLost) {
    this.isLost = isLost;
    this.#onChange();
  }
}
