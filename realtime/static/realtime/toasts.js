/**
 * Short messages in a corner of the page.
 */

import { byId, make } from "./dom.js";

const SHOWN_MS = 4_000;

export class Toasts {
  #host = byId("toasts");
  #lift = keepAbove(this.#host);

  /** @param {string} message */
  say(message) {
    const toast = this.#add(message);
    toast.dataset.testid = "toast";
    setTimeout(() => toast.remove(), SHOWN_MS);
  }

  /**
   * Show an error until it is dismissed.
   *
   * @param {string} message
   */
  complain(message) {
    const toast = this.#add(message);
    toast.dataset.kind = "error";
    toast.dataset.testid = "toast-error";
    toast.setAttribute("role", "alert");
  }

  clear() {
    this.#host.replaceChildren();
  }

  /** @param {string} message */
  #add(message) {
    const toast = make("p", "toast");
    const button = make("button", "", "✕");
    button.type = "button";
    button.setAttribute("aria-label", "Dismiss");
    button.addEventListener("click", () => toast.remove());
    toast.append(message, button);
    this.#host.append(toast);
    this.#lift();
    return toast;
  }
}

/**
 * Keep the element above what is open: everything outside an open dialog is below it and takes no click. So it moves
 * into the dialog, and back. Returns a function that does so now: some browsers do not say that a dialog opens.
 *
 * @param {HTMLElement} element
 */
export function keepAbove(element) {
  const lift = () => {
    const host = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
    if (element.parentElement !== host) host.append(element);
  };
  document.addEventListener("close", lift, true);
  document.addEventListener("toggle", lift, true); // of a dialog that opens
  return lift;
}
