/**
 * How a cell shows that its figure has changed: it fades. More than some in a second would be an unreadable flicker:
 * then cells are highlighted without fading, for a moment.
 *
 * @import { Cells } from "./cells.js"
 * @import { Row } from "./row.js"
 */

import { Decimal } from "./decimal.js";

/** @type {[cell: string, field: "currentPrice" | "positionValueSol" | "profitLossSol" | "remainingAmount"][]} */
const FLASHING = [
  ["price", "currentPrice"],
  ["value", "positionValueSol"],
  ["profit", "profitLossSol"],
  ["amount", "remainingAmount"],
];
const FLASHING_ALWAYS = FLASHING.filter(([cell]) => cell === "amount");
const BUSY_FLASHES_A_SECOND = 30;
const LIT_MS = 500;

export class Flashes {
  #table;
  #since = 0;
  #count = 0;
  /** @type {Map<Row, number>} since when, the oldest first; while busy */
  #lit = new Map();

  /** @param {HTMLElement} table */
  constructor(table) {
    this.#table = table;
  }

  /** Whether a cell is highlighted: then `putOut` is to be called. */
  get areLit() {
    return this.#lit.size > 0;
  }

  /**
   * Whether the row's cells may show what has changed.
   *
   * @param {Row} row
   */
  allow(row) {
    const now = performance.now();
    if (now - this.#since > 1000) {
      this.#table.toggleAttribute("data-busy", this.#count > BUSY_FLASHES_A_SECOND);
      [this.#since, this.#count] = [now, 0];
    }
    this.#count += 1;
    if (!this.#table.hasAttribute("data-busy")) return true;
    if (this.#lit.has(row)) return false;
    this.#lit.set(row, now);
    return true;
  }

  /**
   * End the highlights that have been there for a while.
   *
   * @param {number} now on the clock of `performance.now()`
   */
  putOut(now) {
    for (const [row, since] of this.#lit) {
      if (now - since <= LIT_MS) break;
      row.calm();
      this.#lit.delete(row);
    }
  }

  /** Forget the rows. */
  clear() {
    this.#lit.clear();
  }
}

/**
 * Play the flash of what has changed. Two names for one animation take turns: with the same name again, it would not
 * start over.
 *
 * @param {Cells} cells
 * @param {Wire.LivePosition} before
 * @param {Wire.LivePosition} after
 * @param {boolean} live whether its price is
 */
export function flashChanges(cells, before, after, live) {
  for (const [cell, field] of live ? FLASHING : FLASHING_ALWAYS) {
    if (after[field] === before[field]) continue;
    const way = Decimal.of(after[field]).compare(Decimal.of(before[field]));
    if (way === 0) continue;
    const direction = way > 0 ? "up" : "down";
    const { dataset } = cells.get(cell);
    dataset.flash = dataset.flash === direction ? `${direction}-again` : direction;
  }
}

/** @param {Cells} cells */
export function endFlash(cells) {
  for (const [cell] of FLASHING) delete cells.get(cell).dataset.flash;
}
