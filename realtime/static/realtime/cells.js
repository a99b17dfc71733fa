/**
 * Writes figures into the page: only what changed, and only as text, since a token's symbol is its maker's choice.
 */

import { say } from "./dom.js";
import * as format from "./format.js";

/** An element, with what was written into it: to ask it would take longer than to write. */
class Cell {
  element;
  /** @type {string | null} null: not known */
  text = null;
  /** @type {string | null} */
  title = null;
  /** @type {Record<string, string>} */
  attributes = {};
  isHeadline;

  /** @param {HTMLElement | SVGElement} element */
  constructor(element) {
    this.element = element;
    this.isHeadline = element.parentElement?.classList.contains("figure") ?? false;
  }

  /**
   * @param {string} attribute
   * @param {string} value
   */
  put(attribute, value) {
    if (this.attributes[attribute] === value) return;
    this.attributes[attribute] = value;
    if (this.element.getAttribute(attribute) !== value) this.element.setAttribute(attribute, value);
  }
}

/** The `data-cell` elements within one element, by name. Nobody else writes into them. */
export class Cells {
  /** @type {Map<string, Cell>} */
  #cells = new Map();

  /** @param {ParentNode} root */
  constructor(root) {
    for (const element of root.querySelectorAll("[data-cell]")) {
      if (!(element instanceof HTMLElement || element instanceof SVGElement)) continue;
      this.#cells.set(element.dataset.cell ?? "", new Cell(element));
    }
  }

  /** @param {string} name */
  #cell(name) {
    const cell = this.#cells.get(name);
    if (!cell) throw new RangeError(`no such cell: ${name}`);
    return cell;
  }

  /** @param {string} name */
  get(name) {
    return this.#cell(name).element;
  }

  /**
   * Write the text, and the title, which has the figure in full.
   *
   * @param {string} name
   * @param {string} text
   */
  set(name, text, title = "") {
    const cell = this.#cell(name);
    const { element } = cell;
    if (cell.text !== text) {
      cell.text = text;
      if (element.textContent !== text) writeCell(element, text);
    }
    if (cell.title !== title && element instanceof HTMLElement) {
      cell.title = title;
      if (element.title !== title) element.title = title;
    }
  }

  /**
   * Write an attribute.
   *
   * @param {string} name
   * @param {string} attribute
   * @param {string} value
   */
  put(name, attribute, value) {
    this.#cell(name).put(attribute, value);
  }

  /**
   * Mark a gain or a loss, by the sign of the digits.
   *
   * @param {string} name
   * @param {string | null} digits
   */
  mark(name, digits) {
    this.#cell(name).put("data-direction", format.direction(digits));
  }

  /**
   * @param {string} name
   * @param {boolean} hidden
   */
  hide(name, hidden) {
    const { element } = this.#cell(name);
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
    const { element, isHeadline } = this.#cell(name);
    /** @param {string | null} digits */
    const shown = (digits) => (isHeadline ? { ...format.headline(digits), ...options } : options);
    this.set(name, format.sol(solDigits, shown(solDigits)), sol(solDigits));
    if (element.hasAttribute("data-unknown") !== (solDigits === null)) element.toggleAttribute("data-unknown");
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
  const { firstChild: node } = element;
  // Another text of the same node costs the browser less than another node.
  if (node instanceof Text && node === element.lastChild) node.data = text;
  else element.textContent = text;
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
