/**
 * The table of positions: which rows there are, in which order, and which of them are written now.
 *
 * @import { Context } from "./row.js"
 * @import { Store } from "./store.js"
 *
 * A frame makes some rows, and writes those that can be seen and a few of the others: what it costs does not grow with
 * the positions.
 */

import { Columns } from "./columns.js";
import { around, byId, find } from "./dom.js";
import { Flashes } from "./flashes.js";
import { Hold } from "./hold.js";
import { Row } from "./row.js";
import { listenToKeys } from "./row-keys.js";

const NEW_ROWS_A_FRAME = 40; // as many as a tall window shows
const ROWS_A_FRAME = 24;
const UNSEEN_ROWS_A_FRAME = 4; // where those that are seen are more
// Rows that cannot be seen are written a few with every frame; where no more come, this long after the last.
const REST_AFTER_MS = 150;
const REORDER_EVERY_MS = 2_000;

export class PositionTable {
  /** @type {Map<string, Row>} by position id */
  #rows = new Map();
  #table = byId("positions");
  #body = byId("rows");
  #template = byId("position-row", HTMLTemplateElement);
  #noMatch = byId("no-match");
  /** @type {Set<string>} ids of positions that have no row yet */
  #coming = new Set();
  #isRest = false; // whether the first of them have been made, and these are in order
  /** @type {Set<string>} ids of rows that are dirty and cannot be seen */
  #unseen = new Set();
  #orderIsOld = true;
  #orderedAt = -Infinity;
  #flashes = new Flashes(this.#table);
  #watcher = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "200px 0px" });
  /** Rows that are shown though their positions are gone, until nobody points at the table. */
  #gone = /** @type {Set<HTMLElement>} */ (new Set());
  #columns;
  #hold;
  #onDirty;
  #contextOf;
  /** @type {Store | null} */
  #store = null;

  /**
   * @param {object} handlers
   * @param {(id: string) => void} handlers.onOpen is called with the position to open.
   * @param {(text: string) => void} handlers.onCopy
   * @param {() => void} handlers.onDirty requests a frame.
   * @param {(position: Wire.LivePosition) => Context} handlers.contextOf
   */
  constructor({ onOpen, onCopy, onDirty, contextOf }) {
    this.#onDirty = onDirty;
    this.#contextOf = contextOf;
    const arrange = () => {
      this.#orderIsOld = true;
      this.#orderedAt = -Infinity;
      onDirty();
    };
    this.#columns = new Columns(arrange);
    this.#hold = new Hold(this.#body, arrange);
    this.#body.addEventListener("click", (event) => {
      const id = around(event, "tr")?.dataset.positionId;
      const copied = around(event, ".copy");
      if (copied) onCopy(copied.title);
      else if (around(event, "a")) return; // the link itself: navigation.js, or a new tab
      else if (id !== undefined && !getSelection()?.toString()) onOpen(id);
    });
    listenToKeys(this.#body);
    addEventListener("beforeprint", () => this.render({ all: true }));
  }

  /**
   * Show the positions of this store, no row yet; null shows none.
   *
   * @param {Store | null} store
   */
  show(store) {
    this.#store = store;
    this.#watcher.disconnect();
    this.#rows.clear();
    this.#coming.clear();
    this.#isRest = false;
    this.#unseen.clear();
    this.#flashes.clear();
    this.#gone.clear();
    this.#body.replaceChildren();
  }

  /**
   * Write what has changed since the last call; returns the milliseconds after which there is more to write, 0 for the
   * next frame, or null.
   */
  render({ all = false } = {}) {
    const store = this.#store;
    if (!store) return null;
    const now = performance.now();
    for (const id of store.takeChanges()) this.#note(id, store.has(id));
    this.#make(store, all ? Infinity : NEW_ROWS_A_FRAME);
    if (this.#columns.sorted && now - this.#orderedAt > REORDER_EVERY_MS) this.#orderIsOld = true;
    const held = this.#hold.isHeld;
    byId("order-held").hidden = !held || !this.#columns.sorted;
    if (!held) this.#clear();
    const isChosen = this.#columns.takeChoice();
    if (this.#orderIsOld) this.#arrange(store, now, held && !isChosen);
    let written = 0;
    for (const [id, row] of this.#rows) {
      if (!row.dirty || !(row.visible || all)) continue;
      this.#write(id, store, row.visible);
      written += 1;
    }
    let unseen = Math.max(UNSEEN_ROWS_A_FRAME, ROWS_A_FRAME - written);
    for (const id of this.#unseen) {
      if (unseen <= 0) break;
      unseen -= 1;
      this.#write(id, store, false);
    }
    this.#flashes.putOut(now);
    if (this.#coming.size > 0) return 0;
    return this.#unseen.size > 0 || this.#flashes.areLit ? REST_AFTER_MS : null;
  }

  /**
   * Write these rows again, whether or not the store has changed; all without an argument.
   *
   * @param {Iterable<string>} ids
   */
  touch(ids = this.#rows.keys()) {
    for (const id of ids) this.#note(id, this.#store?.has(id) ?? false);
    this.#onDirty();
  }

  /**
   * @param {string} id
   * @param {boolean} isOpen
   */
  #note(id, isOpen) {
    const row = this.#rows.get(id);
    if (!isOpen) {
      if (row) {
        this.#watcher.unobserve(row.element);
        row.leave();
        this.#gone.add(row.element);
      }
      this.#rows.delete(id);
      this.#coming.delete(id);
      this.#unseen.delete(id);
      this.#orderIsOld = true;
    } else if (row) {
      row.dirty = true;
      if (!row.visible) this.#unseen.add(id);
    } else {
      this.#coming.add(id);
    }
  }

  /**
   * Make rows for positions that have none, of many the first ones in the order that is chosen.
   *
   * @param {Store} store
   * @param {number} most
   */
  #make(store, most) {
    if (this.#coming.size === 0) return;
    if (this.#coming.size > most && !this.#isRest) {
      this.#coming = new Set(this.#columns.order(this.#sortable(store)).filter((id) => this.#coming.has(id)));
    }
    let left = most;
    for (const id of this.#coming) {
      if (left <= 0) break;
      left -= 1;
      this.#coming.delete(id);
      const row = new Row(this.#template, id);
      this.#rows.set(id, row);
      this.#watcher.observe(row.element);
    }
    this.#isRest = this.#coming.size > 0;
    this.#orderIsOld = true;
  }

  /**
   * @param {string} id
   * @param {Store} store
   * @param {boolean} flash
   */
  #write(id, store, flash) {
    this.#unseen.delete(id);
    const position = store.get(id);
    const row = this.#rows.get(id);
    if (position && row) row.show(position, this.#contextOf(position), flash && this.#flashes.allow(row));
  }

  /** Remove the rows of positions that are gone. The focus goes to the next one, if it was in one of them. */
  #clear() {
    for (const element of this.#gone) {
      const hadFocus = element.contains(document.activeElement);
      const next = element.nextElementSibling;
      element.remove();
      if (hadFocus) (next ? find(next, ".open") : byId("positions-title")).focus();
    }
    this.#gone.clear();
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const id = target instanceof HTMLElement ? (target.dataset.positionId ?? "") : "";
      const row = this.#rows.get(id);
      if (!row) continue;
      row.visible = isIntersecting;
      if (!isIntersecting && row.dirty) this.#unseen.add(id);
    }
    this.#onDirty();
  }

  /**
   * Filter and order the rows; those that are held stay where they are, and new ones come last.
   *
   * @param {Store} store
   * @param {number} now
   * @param {boolean} held
   */
  #arrange(store, now, held) {
    this.#orderIsOld = false;
    this.#orderedAt = now;
    const positions = this.#sortable(store);
    const wallets = new Set();
    let matches = 0;
    for (const position of positions) {
      wallets.add(position.walletAddress);
      const isMatch = this.#columns.matches(position);
      matches += Number(isMatch);
      const element = this.#rows.get(position.id)?.element;
      if (element) element.hidden = !isMatch;
    }
    let next = this.#body.firstElementChild;
    for (const id of this.#columns.order(positions)) {
      const element = this.#rows.get(id)?.element;
      if (!element) continue;
      if (held && element.isConnected) continue;
      if (held) this.#body.append(element);
      else if (element === next) next = next.nextElementSibling;
      // Keeps the focus; browsers before Chrome 133 have no moveBefore.
      else if (element.isConnected && "moveBefore" in this.#body) this.#body.moveBefore(element, next);
      else this.#body.insertBefore(element, next);
    }
    this.#table.classList.toggle("many-wallets", wallets.size > 1);
    this.#noMatch.hidden = matches > 0 || positions.length === 0;
  }

  /**
   * What the columns order: to value all positions takes longer than to draw those that are seen.
   *
   * @param {Store} store
   */
  #sortable(store) {
    return [...(this.#columns.sorted ? store.positions() : store.unvalued())];
  }
}
