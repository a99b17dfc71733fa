/**
 * Writes figures into the page: only what changed, and only as text, since a token's symbol is its maker's choice.
 */

import { say } from "./dom.js";
import * as format from "./format.js";

/** The `data-cell` elements within one element, by name. */
export class Cells {
  /** @type {Map<string, HTMLElement | SVGElement>} */
  #elements = new Map();

  /** @param {ParentNode} root */
  constructor(root) {
    for (const element of root.querySelectorAll("[data-cell]")) {
      if (!(element instanceof HTMLElement || element instanceof SVGElement)) continue;
      this.#elements.set(element.dataset.cell ?? "", element);
    }
  }

  /** @param {string} name */
  get(name) {
    const element = this.#elements.get(name);
    if (!element) throw new RangeError(`no such cell: ${name}`);
    return element;
  }

  /**
   * Write the text, and the title, which has the figure in full.
   *
   * @param {string} name
   * @param {string} text
   */
  set(name, text, title = "") {
    const element = this.get(name);
    if (element.textContent !== text) writeCell(element, text);
    if (element instanceof HTMLElement && element.title !== title) element.title = title;
  }

  /**
   * Write an attribute.
   *
   * @param {string} name
   * @param {string} attribute
   * @param {string} value
   */
  put(name, attribute, value) {
    const element = this.get(name);
    if (element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
  }

  /**
   * Mark a gain or a loss, by the sign of the digits.
   *
   * @param {string} name
   * @param {string | null} digits
   */
  mark(name, digits) {
    const { dataset } = this.get(name);
    const direction = format.direction(digits);
    if (dataset.direction !== direction) dataset.direction = direction;
  }

  /**
   * @param {string} name
   * @param {boolean} hidden
   */
  hide(name, hidden) {
    const element = this.get(name);
    if (element instanceof HTMLElement && element.hidden !== hidden) element.hidden = hidden;
  }

  /**
   * Write a sum in SOL and in USD.
   *
   * @param {string} name
   * @param {string | null} solDigits
   * @param {string | null} usdDigits
   */
  pair(name, solDigits, usdDigits, options = {}) {
    const isHeadline = this.get(name).parentElement?.classList.contains("figure") ?? false;
    /** @param {string | null} digits */
    const shown = (digits) => (isHeadline ? { ...format.headline(digits), ...options } : options);
    this.set(name, format.sol(solDigits, shown(solDigits)), sol(solDigits));
    this.get(name).toggleAttribute("data-unknown", solDigits === null);
    this.set(`${name}-usd`, format.usd(usdDigits, shown(usdDigits)), usd(usdDigits));
  }

  /**
   * Write a gain or a loss, in SOL and in USD.
   *
   * @param {string} name
   * @param {string | null} solDigits
   * @param {string | null} usdDigits
   */
  gain(name, solDigits, usdDigits) {
    this.pair(name, solDigits, usdDigits, format.signed);
    this.mark(name, solDigits);
    this.mark(`${name}-usd`, usdDigits);
  }

  /**
   * Write an address, shortened, on a button that copies it.
   *
   * @param {string} name
   * @param {string} address
   * @param {string} symbol
   */
  address(name, address, symbol) {
    const short = format.shortAddress(address);
    this.set(name, short, address);
    this.put(name, "aria-label", `Copy ${short}, the address of ${format.symbol(symbol)}`);
  }
}

/**
 * Write what differs. A figure that counts zeros gets its name without another element: this is done for every price.
 *
 * @param {Element} element
 * @param {string} text
 */
function writeCell(element, text) {
  if (element.localName !== "span") {
    say(element, text);
    return;
  }
  element.textContent = text;
  const name = format.spelled(text);
  if (name !== text) {
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", name);
  } else if (element.hasAttribute("aria-label")) {
    element.removeAttribute("role");
    element.removeAttribute("aria-label");
  }
}

/** @param {string | null} digits */
export const sol = (digits) => (digits === null ? "" : `${digits} SOL`);
/** @param {string | null} digits */
export const usd = (digits) => (digits === null ? "USD unknown" : `${digits} USD`);
