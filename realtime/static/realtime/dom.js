/**
 * The elements of the page's templates, and new ones.
 */

import { spelled } from "./format.js";

/**
 * Return the page's element with this id. Throws where there is none, or one of another kind.
 *
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [kind]
 * @returns {T}
 */
export function byId(id, kind) {
  return known(document.getElementById(id), kind, `#${id}`);
}

/**
 * Return the first element within `root` that the selector finds. Throws like `byId`.
 *
 * @template {Element} [T=HTMLElement]
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} [kind]
 * @returns {T}
 */
export function find(root, selector, kind) {
  return known(root.querySelector(selector), kind, selector);
}

/**
 * Return the element that an event happened in, or around it, that the selector finds; null where there is none.
 *
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function around({ target }, selector) {
  return target instanceof Element ? target.closest(selector) : null;
}

/**
 * Make an element with a class and text.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/**
 * Write the text of the element with this id, only on change: a status region would say the same again.
 *
 * @param {string} id
 * @param {string} text
 */
export function write(id, text) {
  say(byId(id), text);
}

/**
 * Write the text, only on change, and give what counts zeros ("0.0₆1234") a name that can be read aloud. What is put
 * between \u2068 and \u2069, such as a token's symbol, runs in its own direction.
 *
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent === text.replace(ISOLATES, "")) return;
  const parts = text.split(PARTS);
  if (parts.length === 1) {
    element.textContent = text;
    return;
  }
  element.replaceChildren(...parts.map((part, index) => (index % 2 ? named(part) : part)));
}

/**
 * Where what had the focus is gone, give it to what is left: the details that are open, or the heading of the
 * positions. Whoever has no mouse would begin at the top of the page again.
 */
export function keepFocus() {
  const { activeElement: focused, body } = document;
  // A browser takes the focus from what is hidden or disabled with the next frame only.
  if (focused !== null && focused !== body && focused.checkVisibility() && !focused.matches(":disabled")) return;
  const heading = byId("positions-title");
  const left = byId("details", HTMLDialogElement).open
    ? find(byId("details"), "[data-close]")
    : heading.checkVisibility()
      ? heading
      : byId("desk-title");
  left.focus({ preventScroll: true });
}

const ISOLATES = /[\u2068\u2069]/g;
const PARTS = /(\u2068[^\u2069]*\u2069|[$−+]*0\.0[₀-₉]+\d+)/;

/** @param {string} part */
function named(part) {
  if (part.startsWith("\u2068")) return make("bdi", "", part.slice(1, -1));
  const number = make("span", "", part);
  number.setAttribute("role", "img");
  number.setAttribute("aria-label", spelled(part));
  return number;
}

/**
 * @template {Element} T
 * @param {Element | null} element
 * @param {(new () => T) | undefined} kind
 * @param {string} name
 */
function known(element, kind, name) {
  if (!isOf(element, kind)) throw new TypeError(`the page has no such ${kind?.name ?? "element"}: ${name}`);
  return element;
}

/**
 * @template {Element} T
 * @param {Element | null} element
 * @param {(new () => T) | undefined} kind
 * @returns {element is T}
 */
function isOf(element, kind) {
  return element instanceof (kind ?? HTMLElement);
}
