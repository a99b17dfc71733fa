/**
 * What this browser stores for the page: how its user likes it, and whether a session is open. No secrets, and nothing
 * that must not be lost.
 */

import { byId } from "./dom.js";

const PREFIX = "nexgent.";

/** @param {string} name */
export function recall(name, fallback = "") {
  try {
    return localStorage.getItem(PREFIX + name) ?? fallback;
  } catch {
    return fallback; // storage is disabled
  }
}

/**
 * @param {string} name
 * @param {string} value "" forgets it.
 */
export function remember(name, value) {
  try {
    if (value === "") localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, value);
  } catch {
    // storage is disabled or full
  }
}

/**
 * Wire the choice of currency and theme in the header, and the menu that they are in on a phone.
 *
 * @param {() => void} onCurrency is called when the currency is set.
 */
export function wireHeader(onCurrency) {
  /** @param {string} currency */
  const show = (currency) => {
    document.body.dataset.currency = currency;
    onCurrency();
  };
  const chosen = recall("currency") === "usd" ? "usd" : "sol";
  for (const choice of byId("currency").querySelectorAll("input")) {
    choice.checked = choice.value === chosen;
    choice.addEventListener("change", () => {
      remember("currency", choice.value);
      show(choice.value);
    });
  }
  show(chosen);
  const menu = byId("menu");
  menu.addEventListener("click", () => {
    menu.setAttribute("aria-expanded", String(menu.getAttribute("aria-expanded") !== "true"));
  });
  const theme = byId("theme", HTMLSelectElement);
  theme.value = recall("theme");
  theme.addEventListener("change", () => {
    remember("theme", theme.value);
    if (theme.value) document.documentElement.dataset.theme = theme.value;
    else delete document.documentElement.dataset.theme;
  });
}
