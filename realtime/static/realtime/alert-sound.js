/**
 * The sounds of alerts: made here, since no file is loaded. Browsers let a page sound only after its user has clicked
 * or typed in it; of several windows, the one in which that was last sounds.
 *
 * @import { Kind } from "./alert-settings.js"
 */

const LOUDNESS = 0.12;
const SECONDS = 0.16;
const APART_MS = 1_000;
const LOCK = "nexgent.sound";

/** @type {Record<Kind | "try", number[]>} in hertz, one after the other */
const TONES = {
  closed: [660, 880],
  stop: [880, 880, 880],
  price: [520, 440],
  connection: [440, 330, 220],
  try: [660, 880],
};

export class AlertSound {
  /** @type {AudioContext | null} */
  #audio = null;
  #isMine = false;
  /** @type {Map<Kind | "try", number>} when each was played last */
  #playedAt = new Map();

  constructor() {
    for (const type of /** @type {const} */ (["pointerdown", "keydown"])) {
      addEventListener(type, () => this.#claim(), { capture: true, passive: true });
    }
  }

  /**
   * Sound, if this window is the one that does; of one kind not more often than once a second.
   *
   * @param {Kind | "try"} kind
   */
  async play(kind) {
    const now = performance.now();
    if (!this.#isMine || now - (this.#playedAt.get(kind) ?? -Infinity) < APART_MS) return;
    this.#playedAt.set(kind, now);
    this.#audio ??= new AudioContext();
    await this.#audio.resume();
    TONES[kind].forEach((hertz, index) => this.#tone(this.#audio, hertz, index * SECONDS));
  }

  /** From now on it is this window that sounds. */
  #claim() {
    if (this.#isMine) return;
    this.#isMine = true;
    // Held until another window takes it. (None over plain HTTP from elsewhere: there each window sounds.)
    navigator.locks?.request(LOCK, { steal: true }, () => new Promise(() => {})).catch(() => (this.#isMine = false));
  }

  /**
   * @param {AudioContext | null} audio
   * @param {number} hertz
   * @param {number} after in seconds
   */
  #tone(audio, hertz, after) {
    if (!audio) return;
    const [tone, gain, at] = [audio.createOscillator(), audio.createGain(), audio.currentTime + after];
    tone.frequency.value = hertz;
    // It swells and fades: a tone that begins or ends at once clicks.
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(LOUDNESS, at + 0.02);
    gain.gain.linearRampToValueAtTime(0, at + SECONDS);
    tone.connect(gain).connect(audio.destination);
    tone.start(at);
    tone.stop(at + SECONDS);
  }
}
