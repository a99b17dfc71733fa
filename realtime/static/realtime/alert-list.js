/**
 * The recent alerts, in a corner of the page: read out as they come, above everything that is open.
 *
 * @import { Alert } from "./alert-text.js"
 */

import { textOf } from "./alert-text.js";
import { byId, find, make, say } from "./dom.js";
import * as format from "./format.js";
import { pathOf } from "./navigation.js";
import * as times from "./times.js";
import { keepAbove } from "./toasts.js";

const SHOWN = 6;

export class AlertList {
  #section = byId("alerts");
  #list = find(this.#section, "ol");
  /** @type {Map<string, HTMLElement>} by id of the alert, the oldest first */
  #items = new Map();

  #lift = keepAbove(this.#section);

  constructor() {
    byId("alerts-clear").addEventListener("click", () => this.clear());
  }

  /**
   * Show the alert, or what it says by now; returns whether it is a new one.
   *
   * @param {Alert} alert
   * @param {{isSaid: boolean}} options `isSaid`: it was shown before, unless the user has cleared the list since.
   */
  show(alert, { isSaid }) {
    const known = this.#items.get(alert.id);
    if (isSaid && !known) return false;
    const item = known ?? make("li");
    const [only] = alert.items.length === 1 ? alert.items : [];
    if (!known) {
      const link = make("a", "open");
      item.append(make("time", "muted", times.clock(new Date(alert.at).toISOString())), make("strong"), link);
      item.dataset.kind = alert.kind;
      this.#items.set(alert.id, item);
      this.#list.prepend(item);
    }
    find(item, "a", HTMLAnchorElement).href = pathOf(alert.agentId, only?.positionId ?? null);
    say(find(item, "strong"), `${format.symbol(alert.agentName)}`);
    say(find(item, "a"), textOf(alert));
    for (const [id, old] of this.#items) {
      if (this.#items.size <= SHOWN) break;
      old.remove();
      this.#items.delete(id);
    }
    this.#section.hidden = false;
    this.#lift();
    return !known;
  }

  clear() {
    this.#items.clear();
    this.#list.replaceChildren();
    this.#section.hidden = true;
  }
}
