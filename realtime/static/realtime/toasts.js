/**
 * Short messages in a corner of the page.
 */

import { byId, make } from "./dom.js";

const SHOWN_MS = 4_000;

export class Toasts {
  #host = byId("toasts");

  constructor() {
    document.addEventListener("close", () => this.#lift(), true);
  }

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

  /** Everything outside an open dialog is below it and takes no click: so they move into it, and back. */
  #lift() {
    const host = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
    if (this.#host.parentElement !== host) host.append(this.#host);
  }
}
