/**
 * Asks where the stop loss is to be: in percent of the average price, or as a price; or to remove it.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Asked } from "./ask.js"
 * @import { Typed } from "./dialogs.js"
 * @import { Note } from "./price-status.js"
 */

import { stopLossPrice } from "./accounting.js";
import { Ask, complain } from "./ask.js";
import { consequence, GONE, percentageAt, readNote, readPercentage } from "./dialogs.js";
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
  /** Which of the two fields the user has typed into last: the other one follows. */
  #byPrice = false;
  /** @type {Wire.Digits | undefined} */
  #digits;

  /** @param {ConstructorParameters<typeof Ask>[1]} options */
  constructor(options) {
    this.#percentage.addEventListener("input", () => (this.#byPrice = false));
    this.#price.addEventListener("input", () => (this.#byPrice = true));
    this.#ask = new Ask("stop", options); // renders after these
    this.#remove.addEventListener("click", () => this.#ask.close("remove"));
  }

  /**
   * Returns what to do, null where the user has confirmed nothing.
   *
   * @param {ChosenAgent} agent
   * @param {Wire.LivePosition} position
   * @returns {Promise<Move | null>}
   */
  async answer(agent, position) {
    this.#byPrice = false;
    this.#percentage.value = position.currentStopLossPercentage ?? "";
    this.#note.value = "";
    write("stop-title", `Stop loss of ${format.symbol(position.tokenSymbol)}`);
    const answer = await this.#ask.answer(agent, position, (asked, note) => this.#show(asked, note));
    const { text: note } = readNote(this.#note.value);
    if (answer === "remove") return { percentage: null, note };
    return answer === "confirm" && this.#digits !== undefined ? { percentage: this.#digits, note } : null;
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
    const { digits, problem } = this.#read(position);
    this.#digits = digits;
    if (this.#byPrice) this.#percentage.value = digits ?? "";
    else this.#price.value = digits === undefined ? "" : (stopLossPrice(position.purchasePrice, digits) ?? "");
    const { problem: tooLong } = readNote(this.#note.value);
    this.#confirm.disabled = !isOpen || digits === undefined || tooLong !== undefined;
    this.#remove.disabled = !isOpen || tooLong !== undefined;
    this.#remove.hidden = position.currentStopLossPercentage === null;
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
