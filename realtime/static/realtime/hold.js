/**
 * Whether somebody points at the rows of a table, has the focus on one, or has swiped one: then they hold still, so
 * that a click meets what was aimed at.
 */

const AFTER_TOUCH_MS = 1_000;

export class Hold {
  #body;
  // Looked for once: a selector would go through all rows, in every frame.
  #dialogs = document.querySelectorAll("dialog");
  #onRelease;
  #pointed = false;
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {HTMLElement} body
   * @param {() => void} onRelease is called when they need not hold still any more.
   */
  constructor(body, onRelease) {
    this.#body = body;
    this.#onRelease = onRelease;
    body.addEventListener("pointermove", ({ pointerType }) => pointerType === "mouse" && this.#point());
    body.addEventListener("pointerdown", () => this.#point());
    body.addEventListener("pointerleave", ({ pointerType }) => {
      this.#release(pointerType === "mouse" ? 0 : AFTER_TOUCH_MS);
    });
    body.addEventListener("focusout", () => onRelease());
    body.addEventListener("swipe-closed", () => onRelease()); // swipe.js
  }

  get isHeld() {
    // What is open above the table has the pointer and the focus.
    for (const dialog of this.#dialogs) if (dialog.open) return false;
    if (this.#pointed || this.#body.hasAttribute("data-swiped")) return true;
    // Not looked for in the rows: that is done in every frame, and there may be thousands of elements.
    const { activeElement } = document;
    return this.#body.contains(activeElement) && activeElement !== null && activeElement.matches(":focus-visible");
  }

  #point() {
    clearTimeout(this.#timer);
    this.#pointed = true;
  }

  /** @param {number} milliseconds */
  #release(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#pointed = false;
      this.#onRelease();
    }, milliseconds);
  }
}
