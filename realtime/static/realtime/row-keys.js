/**
 * The keys of the table: up and down, from one row's button to the next; Home and End.
 */

import { around, find } from "./dom.js";

/**
 * Listen for them on the rows of this body.
 *
 * @param {HTMLElement} body
 */
export function listenToKeys(body) {
  body.addEventListener("keydown", (event) => {
    const row = around(event, "tr");
    if (!row) return;
    const shown = [...body.querySelectorAll("tr")].filter(({ hidden }) => !hidden);
    const here = shown.findIndex((element) => element === row);
    const at = new Map([["ArrowDown", here + 1], ["ArrowUp", here - 1], ["Home", 0], ["End", shown.length - 1]]);
    const next = at.get(event.key);
    if (next === undefined) return;
    event.preventDefault();
    if (shown[next]) find(shown[next], ".open").focus();
  });
}
