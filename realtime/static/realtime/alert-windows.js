/**
 * The windows that one user has open: one of them speaks (Web Locks), and what it says comes to all (BroadcastChannel).
 */

export class Windows {
  /** Whether this is the window that speaks. */
  speaks = false;
  #onSpeak;
  #onMessage;
  /** @type {AbortController | null} from `start` to `stop` */
  #running = null;
  /** @type {BroadcastChannel | null} to the user's other windows */
  #channel = null;

  /**
   * @param {object} handlers
   * @param {() => void} handlers.onSpeak this window speaks from now on.
   * @param {(data: any) => void} handlers.onMessage is called with what another window has sent.
   */
  constructor({ onSpeak, onMessage }) {
    this.#onSpeak = onSpeak;
    this.#onMessage = onMessage;
  }

  /** @type {AbortSignal | undefined} of `stop`; none before `start` */
  get signal() {
    return this.#running?.signal;
  }

  /** @param {string} name the same in all windows of the user */
  start(name) {
    const running = new AbortController();
    this.#running = running;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#onMessage(data);
    const { signal } = running;
    const speak = () => this.#speak(signal);
    // None over plain HTTP from elsewhere: there each window speaks.
    if (!navigator.locks) speak();
    else navigator.locks.request(name, { signal }, speak).catch(() => {});
  }

  /**
   * Be the window that speaks, until the signal.
   *
   * @param {AbortSignal} signal
   */
  async #speak(signal) {
    if (signal.aborted) return;
    this.speaks = true;
    this.#onSpeak();
    await new Promise((over) => {
      signal.addEventListener("abort", over);
    });
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
    this.#channel?.close();
    this.#channel = null;
    this.speaks = false;
  }

  /**
   * Send this to the other windows.
   *
   * @param {unknown} message
   */
  post(message) {
    this.#channel?.postMessage(message);
  }
}
