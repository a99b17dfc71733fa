/**
 * Writing figures into the page: only what changed, and only as text. A token's symbol is whatever its maker called it.
 */

import * as format from "./format.js";

/** The `data-cell` elements within one element, by name. */
export class Cells {
  #elements = new Map();

  constructor(root) {
    for (const element of root.querySelectorAll("[data-cell]")) this.#elements.set(element.dataset.cell, element);
  }

  get(name) {
    return this.#elements.get(name);
  }

  /** Write the text, and the title, which holds the figure in full. */
  set(name, text, title = "") {
    const element = this.#elements.get(name);
    if (element.textContent !== text) element.textContent = text;
    if (element.title !== title) element.title = title;
  }

  /** Write an attribute. */
  put(name, attribute, value) {
    const element = this.#elements.get(name);
    if (element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
  }

  /** Mark a gain or a loss, by the sign of the digits. */
  mark(name, digits) {
    const { dataset } = this.#elements.get(name);
    const direction = format.direction(digits);
    if (dataset.direction !== direction) dataset.direction = direction;
  }

  hide(name, hidden) {
    const element = this.#elements.get(name);
    if (element.hidden !== hidden) element.hidden = hidden;
  }

  /** A sum in SOL and in USD, with its sign where it is a gain or a loss. */
  pair(name, solDigits, usdDigits, options) {
    this.set(name, format.sol(solDigits, options), sol(solDigits));
    this.get(name).toggleAttribute("data-unknown", solDigits === null);
    this.set(`${name}-usd`, format.usd(usdDigits, options), usd(usdDigits));
    if (options !== format.signed) return;
    this.mark(name, solDigits);
    this.mark(`${name}-usd`, usdDigits);
  }
}

export const sol = (digits) => (digits === null || digits === undefined ? "" : `${digits} SOL`);
export const usd = (digits) => (digits === null ? "USD is not known" : `${digits} USD`);

/** An element with a class and text. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}
