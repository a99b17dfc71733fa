/**
 * A dialog that asks before something is done to a position. It follows the position, and says which one it is: what is
 * confirmed is what is there.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Note } from "./price-status.js"
 */

import { Cells } from "./cells.js";
import { moneyOf } from "./currency.js";
import { around, byId, keepFocus, write } from "./dom.js";
import * as format from "./format.js";
import { modeText } from "./modes.js";
import * as times from "./times.js";

/**
 * What a dialog shows of a position, as it is now.
 *
 * @typedef {{agent: ChosenAgent, position: Wire.LivePosition, isOpen: boolean}} Asked
 */

export class Ask {
  #dialog;
  #cells;
  #noteOf;
  #now;
  /** @type {((asked: Asked, note: Note) => void) | null} null while it is not open */
  #show = null;
  /** @type {Asked | null} */
  #asked = null;

  /**
   * @param {string} name what the ids of its elements begin with
   * @param {object} options
   * @param {(position: Wire.LivePosition) => Note} options.noteOf how reliable its price is
   * @param {() => number} options.now milliseconds of the epoch
   * @param {(text: string) => void} options.onCopy
   */
  constructor(name, { noteOf, now, onCopy }) {
    this.#dialog = byId(`${name}-dialog`, HTMLDialogElement);
    this.#cells = new Cells(this.#dialog);
    this.#noteOf = noteOf;
    this.#now = now;
    this.#dialog.addEventListener("click", (event) => {
      const copied = around(event, ".copy");
      if (copied) onCopy(copied.title);
    });
    this.#dialog.addEventListener("input", () => this.render());
    // No submit button: Enter in a field would press the first of them.
    byId(`${name}-cancel`).addEventListener("click", () => this.close("cancel"));
  }

  /**
   * Ask; returns what the dialog was closed with.
   *
   * @param {ChosenAgent} agent
   * @param {Wire.LivePosition} position
   * @param {(asked: Asked, note: Note) => void} show writes what the dialog says; is called with every change.
   */
  async answer(agent, position, show) {
    this.#asked = { agent, position, isOpen: true };
    this.#show = show;
    this.render();
    this.#dialog.returnValue = "cancel";
    this.#dialog.showModal();
    await new Promise((answered) => {
      this.#dialog.addEventListener("close", answered, { once: true });
    });
    this.#show = this.#asked = null;
    keepFocus();
    return this.#dialog.returnValue;
  }

  /** @param {string} answer */
  close(answer) {
    this.#dialog.close(answer);
  }

  /** Write what it says, of the position as it is now. */
  render() {
    if (!this.#show || !this.#asked) return;
    const { agent, position: before } = this.#asked;
    const now = agent.store.get(before.id);
    const asked = { agent, position: now ?? before, isOpen: now !== undefined };
    this.#asked = asked;
    const note = this.#noteOf(asked.position);
    this.#showPosition(asked, note);
    this.#show(asked, note);
  }

  /**
   * @param {Asked} asked
   * @param {Note} note
   */
  #showPosition({ agent, position, isOpen }, note) {
    const cells = this.#cells;
    const { walletAddress, tokenAddress, tokenSymbol, currentPrice, remainingAmount } = position;
    cells.set("wallet", format.shortAddress(walletAddress), walletAddress);
    cells.put("wallet", "aria-label", `Copy ${format.shortAddress(walletAddress)}, the address of the wallet`);
    cells.set("mint", format.shortAddress(tokenAddress), tokenAddress);
    cells.put("mint", "aria-label", `Copy ${format.shortAddress(tokenAddress)}, the address of the token`);
    cells.set("mode", modeText(agent.modeOf(walletAddress)));
    const age = note.at === null ? "" : `, ${times.seconds(this.#now() - Date.parse(note.at))} old`;
    const price = note.status === "none" ? "unknown" : `${moneyOf(position).price(currentPrice)}, ${note.status}${age}`;
    cells.set("price", price, `${currentPrice} SOL. ${note.meaning}`);
    cells.put("price", "data-status", note.status);
    const held = `${format.amount(remainingAmount)} ${format.symbol(tokenSymbol)}`;
    cells.set("held", isOpen ? held : "nothing any more", isOpen ? remainingAmount : "");
  }
}

/** Whether the fields of a dialog still have what was typed: that is not lost if the server refuses it. */
export class Kept {
  #last = "";
  #kept = "";

  /**
   * Asked about this now: returns whether the fields stay as they are.
   *
   * @param {string} subject
   */
  take(subject) {
    const isKept = this.#kept === subject;
    this.#last = subject;
    this.#kept = "";
    return isKept;
  }

  /** What was confirmed last has failed. */
  keep() {
    this.#kept = this.#last;
  }
}

/**
 * Say what is wrong with an input, next to it.
 *
 * @param {string} id of the element that says so; of the input, without "-error"
 * @param {string} [problem]
 */
export function complain(id, problem = "") {
  byId(id).hidden = problem === "";
  write(id, problem);
}
