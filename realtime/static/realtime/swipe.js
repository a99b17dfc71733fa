/**
 * Swiping a card of the table to the left shows what can be done to its position; to the right hides it again. By touch
 * and pen: whoever uses a mouse, a keyboard or a screen reader has the same buttons in the details.
 */

import { around, byId, find } from "./dom.js";

const DECIDED_PX = 10; // from here on it is a swipe; what goes up or down first is the browser's, which scrolls
const FAR_PX = 48; // a swipe that went less far is undone

/** @typedef {"stop" | "sell" | "close"} Deed */
/** @typedef {{pointer: number, x: number, y: number, row: HTMLElement, from: number, isDrag: boolean}} Touch */

export class Swipe {
  #body = byId("rows");
  #template = byId("swipe-deeds", HTMLTemplateElement);
  #isCards = matchMedia("(max-width: 1100px)"); // as in positions.css
  /** @type {HTMLElement | null} the card whose buttons are shown, or about to be */
  #row = null;
  #width = 0;
  /** @type {Touch | null} */
  #touch = null;

  /** @param {(positionId: string, deed: Deed) => void} onDeed */
  constructor(onDeed) {
    const body = this.#body;
    body.addEventListener("pointerdown", (event) => this.#begin(event));
    body.addEventListener("pointermove", (event) => this.#move(event));
    body.addEventListener("pointerup", (event) => this.#end(event));
    body.addEventListener("pointercancel", () => this.#undo());
    // Before the table's: what is pressed on a card that is moved aside opens no details.
    body.addEventListener("click", (event) => this.#click(event, onDeed), { capture: true });
    document.addEventListener("pointerdown", (event) => around(event, "#rows") ?? this.close());
    document.addEventListener("keydown", ({ key }) => key === "Escape" && this.close());
    this.#isCards.addEventListener("change", () => this.close());
  }

  /** Hide the buttons, if they are shown. */
  close() {
    this.#touch = null;
    this.#putBack();
  }

  async #putBack() {
    const row = this.#row;
    this.#row = null;
    if (!row) return;
    row.dataset.swipe = "closing";
    row.style.removeProperty("--swipe");
    await Promise.allSettled(moving(row)); // none where motion is unwanted
    if (row === this.#row) return; // swiped again
    this.#body.toggleAttribute("data-swiped", this.#row !== null);
    row.querySelector(".swipe-deeds")?.remove();
    delete row.dataset.swipe;
    row.dispatchEvent(new Event("swipe-closed", { bubbles: true })); // it need not hold still any more: hold.js
  }

  /** @param {PointerEvent} event */
  #begin(event) {
    const row = around(event, "tr");
    if (!row || event.pointerType === "mouse" || !event.isPrimary || !this.#isCards.matches) return;
    const from = row === this.#row ? -this.#width : 0;
    const { pointerId, clientX, clientY } = event;
    this.#touch = { pointer: pointerId, x: clientX, y: clientY, row, from, isDrag: false };
  }

  /** @param {PointerEvent} event */
  #move({ pointerId, clientX, clientY }) {
    const touch = this.#touch;
    if (touch?.pointer !== pointerId) return;
    const [right, down] = [clientX - touch.x, clientY - touch.y];
    if (!touch.isDrag) {
      if (Math.abs(down) > DECIDED_PX) this.#touch = null;
      if (Math.abs(right) <= DECIDED_PX || Math.abs(down) > Math.abs(right)) return;
      touch.isDrag = true;
      touch.row.setPointerCapture(pointerId);
      this.#show(touch.row);
    }
    this.#place(Math.max(-this.#width, Math.min(0, touch.from + right)));
  }

  /** @param {PointerEvent} event */
  #end({ pointerId, clientX }) {
    const touch = this.#touch;
    if (touch?.pointer !== pointerId || !touch.isDrag) return;
    this.#touch = null;
    const right = clientX - touch.x;
    const isOpen = touch.from < 0 ? right < FAR_PX : right < -FAR_PX;
    if (isOpen) this.#open(touch.row);
    else this.close();
  }

  /** The browser has taken the gesture for its own: as it was before. */
  #undo() {
    const touch = this.#touch;
    this.#touch = null;
    if (!touch?.isDrag) return;
    if (touch.from < 0) this.#open(touch.row);
    else this.close();
  }

  /**
   * Put the buttons into the card, beside what is seen of it.
   *
   * @param {HTMLElement} row
   */
  #show(row) {
    if (this.#row !== row) this.#putBack();
    this.#row = row;
    this.#body.toggleAttribute("data-swiped", true);
    if (!row.querySelector(".swipe-deeds")) row.append(this.#template.content.cloneNode(true));
    row.dataset.swipe = "drag";
    this.#width = find(row, ".swipe-deeds").offsetWidth;
    const isBusy = row.hasAttribute("data-pending") || row.hasAttribute("data-gone");
    for (const button of row.querySelectorAll("button")) if (button.dataset.deed) button.disabled = isBusy;
  }

  /** @param {HTMLElement} row */
  #open(row) {
    row.dataset.swipe = "open";
    this.#place(-this.#width);
  }

  /** @param {number} pixels */
  #place(pixels) {
    this.#row?.style.setProperty("--swipe", `${pixels}px`);
  }

  /**
   * @param {MouseEvent} event
   * @param {(positionId: string, deed: Deed) => void} onDeed
   */
  #click(event, onDeed) {
    const row = this.#row;
    if (!row) return;
    event.stopPropagation();
    event.preventDefault();
    const deed = /** @type {Deed | undefined} */ (around(event, "button")?.dataset.deed);
    const id = row.dataset.positionId;
    this.close();
    if (deed && id !== undefined && !row.hasAttribute("data-gone")) onDeed(id, deed);
  }
}

/** @param {HTMLElement} row */
const moving = (row) => row.getAnimations({ subtree: true }).flatMap((each) => (isSwipe(each) ? [each.finished] : []));

/** @param {Animation} animation */
const isSwipe = (animation) => animation instanceof CSSTransition && animation.transitionProperty === "transform";
