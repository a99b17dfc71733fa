/**
 * Asks how much of a position to sell: a part, an amount, or all of it, which closes it.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Asked } from "./ask.js"
 * @import { Note } from "./price-status.js"
 */

import { Ask, complain, Kept } from "./ask.js";
import { Decimal } from "./decimal.js";
import { changedText, GONE, partOf, proceedsHint, readAmount, readNote, readProceeds, sellingText } from "./dialogs.js";
import { byId, write } from "./dom.js";
import * as format from "./format.js";

/**
 * What to sell. `held`: the holding that the user has seen; it is sold from no other.
 *
 * @typedef {{tokens: Wire.Digits, all: boolean, held: Wire.Digits, proceedsSol: Wire.Digits | undefined,
 *   why: string | undefined}} Sale
 */

export class SellDialog {
  #ask;
  #shares = /** @type {HTMLInputElement[]} */ ([...byId("sell-shares").querySelectorAll("[name=share]")]);
  #amount = byId("sell-amount", HTMLInputElement);
  #proceeds = byId("sell-proceeds", HTMLInputElement);
  #why = byId("sell-reason", HTMLInputElement);
  #confirm = byId("sell-confirm", HTMLButtonElement);
  #accept = byId("sell-accept", HTMLButtonElement);
  /** @type {Wire.Digits} the holding that the user has seen */
  #seen = "0";
  /** @type {{tokens: Wire.Digits, all: boolean} | null} null while there is nothing that could be sold */
  #part = null;
  #kept = new Kept();

  /** @param {ConstructorParameters<typeof Ask>[1]} options */
  constructor(options) {
    this.#ask = new Ask("sell", options);
    this.#amount.addEventListener("input", () => this.#choose(""));
    this.#accept.addEventListener("click", () => {
      this.#seen = this.#accept.value;
      this.render();
      this.#confirm.focus();
    });
  }

  /**
   * Returns what to sell, null where the user has not confirmed it.
   *
   * @param {ChosenAgent} agent
   * @param {Wire.LivePosition} position
   * @param {"25" | "50" | "75" | "100"} share what is offered at first
   * @returns {Promise<Sale | null>}
   */
  async answer(agent, position, share) {
    this.#seen = position.remainingAmount;
    if (!this.#kept.take(`${position.id} ${share}`)) {
      this.#choose(share);
      this.#proceeds.value = this.#why.value = "";
    }
    const answer = await this.#ask.answer(agent, position, (asked, note) => this.#show(asked, note));
    if (answer !== "confirm" || this.#part === null) return null;
    const { digits } = readProceeds(this.#proceeds.value);
    return { ...this.#part, held: this.#seen, proceedsSol: digits, why: readNote(this.#why.value).text };
  }

  /** The sale was refused: what was typed is there when the same is asked again. */
  keep() {
    this.#kept.keep();
  }

  cancel() {
    this.#ask.close("cancel");
  }

  render() {
    this.#ask.render();
  }

  /** @param {string} share in percent; "" for the amount that is typed */
  #choose(share) {
    for (const input of this.#shares) input.checked = input.value === share;
  }

  /**
   * @param {Asked} asked
   * @param {Note} note
   */
  #show({ position, isOpen }, note) {
    const share = this.#shares.find(({ checked }) => checked)?.value;
    const { remainingAmount: held } = position;
    // A share is of what is held now, and the field follows; what is typed stays.
    if (share) this.#amount.value = partOf(held, share);
    const amount = readAmount(this.#amount.value, held);
    const tokens = amount.digits;
    const all = tokens !== undefined && Decimal.of(tokens).compare(Decimal.of(held)) === 0;
    this.#part = tokens === undefined ? null : { tokens, all };
    const proceeds = readProceeds(this.#proceeds.value);
    const hasPrice = note.status === "live" || proceeds.digits !== undefined;
    const hasChanged = isOpen && Decimal.of(held).compare(Decimal.of(this.#seen)) !== 0;
    const { problem: tooLong } = readNote(this.#why.value);
    const isBad = Boolean(proceeds.problem || tooLong);
    this.#confirm.disabled = !isOpen || hasChanged || !this.#part || isBad || !hasPrice;
    this.#confirm.textContent = all ? "Sell all and close" : "Sell";
    this.#proceeds.required = note.status !== "live";
    write("sell-title", `${all ? "Close" : "Sell"} ${format.symbol(position.tokenSymbol)}?`);
    write("sell-text", isOpen ? sellingText(position, note, this.#part, proceeds.digits) : GONE);
    write("sell-hint", proceedsHint(note));
    byId("sell-changed").hidden = !hasChanged;
    write("sell-changed-text", hasChanged ? changedText(position, this.#seen) : "");
    this.#accept.value = held;
    this.#accept.textContent = `Go on with ${format.amount(held)}`;
    complain("sell-amount-error", isOpen ? amount.problem : "");
    complain("sell-error", proceeds.problem);
    complain("sell-reason-error", tooLong);
  }
}
