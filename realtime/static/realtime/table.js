/**
 * The table of positions: which rows there are, in which order, and which of them are written now.
 *
 * A frame writes the rows that can be seen, and a few of the others: what it costs does not grow with the positions.
 */

import { Columns } from "./columns.js";
import { Row } from "./row.js";

const UNSEEN_ROWS_A_FRAME = 8;
const REORDER_EVERY_MS = 2_000;
// More flashes than this in a second are a flicker that nobody reads: then cells are lit, and not faded.
const BUSY_FLASHES_A_SECOND = 30;
const LIT_MS = 500;

export class PositionTable {
  #rows = new Map(); // position id → Row
  #table = document.getElementById("positions");
  #body = document.getElementById("rows");
  #template = document.getElementById("position-row");
  #noMatch = document.getElementById("no-match");
  #unseen = new Set(); // ids of rows that are dirty and cannot be seen
  #orderIsOld = true;
  #orderedAt = -Infinity;
  #flashes = { since: 0, count: 0 };
  #lit = []; // [when, Row], while busy
  #watcher = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "200px 0px" });
  #columns;

  /**
   * @param onOpen hears which position's details are wanted.
   * @param onCopy hears which address is.
   * @param onDirty asks for a frame.
   * @param contextOf returns what `Row.show` wants to know besides a position.
   */
  constructor({ onOpen, onCopy, onDirty, contextOf }) {
    Object.assign(this, { onDirty, contextOf });
    this.#columns = new Columns(() => {
      this.#orderIsOld = true;
      this.#orderedAt = -Infinity;
      onDirty();
    });
    this.#body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (event.target.closest(".copy")) onCopy(event.target.closest(".copy").title);
      else if (row && !getSelection().toString()) onOpen(row.dataset.positionId);
    });
    this.#body.addEventListener("keydown", (event) => this.#move(event));
    addEventListener("beforeprint", () => this.#store && this.render(this.#store, { all: true }));
  }

  #store = null;

  /** Show what the store holds, touching only what changed since the last call. */
  render(store, { all = false } = {}) {
    this.#store = store;
    const now = performance.now();
    for (const id of store.takeChanges()) this.#note(id, store.get(id));
    if (this.#columns.sorted && now - this.#orderedAt > REORDER_EVERY_MS) this.#orderIsOld = true;
    if (this.#orderIsOld) this.#arrange(store, now);
    let unseen = all ? Infinity : UNSEEN_ROWS_A_FRAME;
    for (const id of this.#unseen) {
      if (unseen-- <= 0) break;
      this.#write(id, store, false);
    }
    for (const [id, row] of this.#rows) if (row.dirty && (row.visible || all)) this.#write(id, store, row.visible);
    this.#putOut(now);
    return this.#unseen.size > 0 || this.#lit.length > 0;
  }

  /** Write these again, whether or not the store has changed; all without an argument. */
  touch(ids = this.#rows.keys()) {
    for (const id of ids) this.#note(id, this.#store?.get(id));
    this.onDirty();
  }

  clear() {
    this.#watcher.disconnect();
    this.#rows.clear();
    this.#unseen.clear();
    this.#lit = [];
    this.#body.replaceChildren();
  }

  #note(id, position) {
    let row = this.#rows.get(id);
    if (!position) {
      if (row) this.#watcher.unobserve(row.element);
      row?.element.remove();
      this.#rows.delete(id);
      this.#unseen.delete(id);
      this.#orderIsOld = true;
      return;
    }
    if (!row) {
      row = new Row(this.#template, id);
      this.#rows.set(id, row);
      this.#watcher.observe(row.element);
      this.#orderIsOld = true;
    }
    row.dirty = true;
    if (!row.visible) this.#unseen.add(id);
  }

  #write(id, store, flash) {
    this.#unseen.delete(id);
    const position = store.get(id);
    const row = this.#rows.get(id);
    row.show(position, this.contextOf(position), flash && this.#mayFade(row));
  }

  /** Count a flash; where there are too many, light the cells instead, and put them out after a while. */
  #mayFade(row) {
    const now = performance.now();
    if (now - this.#flashes.since > 1000) {
      this.#table.toggleAttribute("data-busy", this.#flashes.count > BUSY_FLASHES_A_SECOND);
      this.#flashes = { since: now, count: 0 };
    }
    this.#flashes.count += 1;
    if (!this.#table.hasAttribute("data-busy")) return true;
    if (this.#lit.some(([, lit]) => lit === row)) return false;
    this.#lit.push([now, row]);
    return true;
  }

  #putOut(now) {
    while (this.#lit.length && now - this.#lit[0][0] > LIT_MS) this.#lit.shift()[1].calm();
  }

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const row = this.#rows.get(target.dataset.positionId);
      if (!row) continue;
      row.visible = isIntersecting;
      if (!isIntersecting && row.dirty) this.#unseen.add(target.dataset.positionId);
    }
    this.onDirty();
  }

  #arrange(store, now) {
    this.#orderIsOld = false;
    this.#orderedAt = now;
    const positions = [...store.positions()];
    const wallets = new Set();
    let matches = 0;
    for (const position of positions) {
      wallets.add(position.walletAddress);
      const { element } = this.#rows.get(position.id);
      element.hidden = !this.#columns.matches(position);
      matches += Number(!element.hidden);
    }
    let next = this.#body.firstElementChild;
    for (const id of this.#columns.order(positions)) {
      const { element } = this.#rows.get(id);
      if (element === next) next = next.nextElementSibling;
      else if (element.isConnected && this.#body.moveBefore) this.#body.moveBefore(element, next); // keeps the focus
      else this.#body.insertBefore(element, next);
    }
    this.#table.classList.toggle("many-wallets", wallets.size > 1);
    this.#noMatch.hidden = matches > 0 || positions.length === 0;
  }

  /** Up and down, from one row's button to the next. */
  #move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("tr");
    if (!row || (!step && !["Home", "End"].includes(event.key))) return;
    event.preventDefault();
    const shown = [...this.#body.children].filter((each) => !each.hidden);
    const at = { Home: 0, End: shown.length - 1 }[event.key] ?? shown.indexOf(row) + step;
    shown[at]?.querySelector(".open").focus();
  }
}
