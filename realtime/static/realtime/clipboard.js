/**
 * Copies what a button of the page stands for.
 *
 * @import { Toasts } from "./toasts.js"
 */

/**
 * @param {string} text
 * @param {Toasts} toasts
 */
export async function copy(text, toasts) {
  try {
    await navigator.clipboard.writeText(text);
    toasts.say("Copied.");
  } catch {
    toasts.complain(`The browser does not allow the page to copy. To copy by hand: ${text}`);
  }
}
