/**
 * Asks where the stop loss is to be: in percent of the average price, or as a price; or to remove it.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Asked } from "./ask.js"
 * @import { Typed } from "./dialogs.js"
 * @import { Note } from "./price-status.js"
 */

import { stopLossPrice } from "./accounting.js";
import { Ask, complain, Kept } from "./ask.js";
import {
  consequence,
  GONE,
  movedText,
  percentageAt,
  readNote,
  readPercentage,
  sameStop,
  stopText,
} from "./dialogs.js";
import { byId, write } from "./dom.js";
import * as format from "./format.js";

/**
 * `percentage`: null to remove it. `note`: why.
 *
 * @typedef {{percentage: Wire.Digits | null, note: string | undefined}} Move
 */

export class StopDialog {
  #ask;
  #percentage = byId("stop-percentage", HTMLInputElement);
  #price = byId("stop-price", HTMLInputElement);
  #note = byId("stop-note", HTMLInputElement);
  #confirm = byId("stop-confirm", HTMLButtonElement);
  #remove = byId("stop-remove", HTMLButtonElement);
  #accept = byId("stop-accept", HTMLButtonElement);
  /** Which of the two fields the user has typed into last: the other one follows. */
  #byPrice = false;
  /** Whether the user has: what is typed stays. */
  #typed = false;
  /** @type {Wire.Digits | undefined} */
  #digits;
  /** @type {Wire.Digits | null} the stop loss that the user has seen */
  #seen = null;
  #kept = new Kept();

  /** @param {ConstructorParameters<typeof Ask>[1]} options */
  constructor(options) {
    for (const input of [this.#percentage, this.#price]) {
      input.addEventListener("input", () => {
        this.#byPrice = input === this.#price;
        this.#typed = true;
      });
    }
    this.#ask = new Ask("stop", options); // renders after these
    this.#remove.addEventListener("click", () => this.#ask.close("remove"));
    this.#accept.addEventListener("click", () => {
      this.#seen = this.#accept.value === "" ? null : this.#accept.value;
      this.render();
      this.#confirm.focus();
    });
  }

  /**
   * Returns what to do, null where the user has confirmed nothing.
   *
   * @param {ChosenAgent} agent
   * @param {Wire.LivePosition} position
   * @returns {Promise<Move | null>}
   */
  async answer(agent, position) {
    this.#seen = position.currentStopLossPercentage;
    if (!this.#kept.take(position.id)) {
      this.#byPrice = this.#typed = false;
      this.#percentage.value = this.#seen ?? "";
      this.#note.value = "";
    }
    write("stop-title", `Stop loss of ${format.symbol(position.tokenSymbol)}`);
    const answer = await this.#ask.answer(agent, position, (asked, note) => this.#show(asked, note));
    const { text: note } = readNote(this.#note.value);
    if (answer === "remove") return { percentage: null, note };
    return answer === "confirm" && this.#digits !== undefined ? { percentage: this.#digits, note } : null;
  }

  /** The move was refused: what was typed is there when the same is asked again. */
  keep() {
    this.#kept.keep();
  }

  cancel() {
    this.#ask.close("cancel");
  }

  render() {
    this.#ask.render();
  }

  /**
   * @param {Asked} asked
   * @param {Note} note
   */
  #show({ position, isOpen }, note) {
    const { currentStopLossPercentage: stop } = position;
    if (!this.#typed && !sameStop(stop, this.#seen)) {
      this.#seen = stop;
      this.#percentage.value = stop ?? "";
    }
    const hasChanged = isOpen && !sameStop(stop, this.#seen);
    const { digits, problem } = this.#read(position);
    this.#digits = digits;
    if (this.#byPrice) this.#percentage.value = digits ?? "";
    else this.#price.value = digits === undefined ? "" : (stopLossPrice(position.purchasePrice, digits) ?? "");
    const { problem: tooLong } = readNote(this.#note.value);
    this.#confirm.disabled = !isOpen || hasChanged || digits === undefined || tooLong !== undefined;
    this.#remove.disabled = !isOpen || hasChanged || tooLong !== undefined;
    this.#remove.hidden = stop === null;
    write("stop-now", stopText(position));
    byId("stop-changed").hidden = !hasChanged;
    write("stop-changed-text", hasChanged ? movedText(stop, this.#seen) : "");
    this.#accept.value = stop ?? "";
    write("stop-text", isOpen ? (digits === undefined ? "" : consequence(position, note, digits)) : GONE);
    complain("stop-error", isOpen ? problem : "");
    complain("stop-note-error", tooLong);
  }

  /**
   * @param {Wire.LivePosition} position
   * @returns {Typed}
   */
  #read(position) {
    if (this.#byPrice) return percentageAt(this.#price.value, position.purchasePrice);
    return readPercentage(this.#percentage.value);
  }
}
