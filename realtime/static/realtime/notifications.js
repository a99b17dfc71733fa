/**
 * Notifications of the browser. Permission is asked for when the user chooses them, and at no other time.
 */

import { at } from "./base.js";

/** What is wrong with notifications here; "" where they may be shown, or asked for. */
export function notificationProblem() {
  if (!("Notification" in globalThis) || !isSecureContext) {
    return "This browser shows no notifications for this page: it does over HTTPS only.";
  }
  if (Notification.permission !== "denied") return "";
  return "The browser does not allow this page to notify you. Allow it in the browser's settings of this site.";
}

/** Ask the user, where that was not done yet; returns what is wrong, "" where nothing is. */
export async function askForNotifications() {
  if (notificationProblem() || Notification.permission === "granted") return notificationProblem();
  const answer = await Notification.requestPermission();
  if (answer === "default") return "Notifications were not allowed: choose again to be asked once more.";
  return notificationProblem();
}

/**
 * Show a notification, in place of the one with the same tag. Silent: sounds are chosen apart.
 *
 * @param {string} title
 * @param {{body: string, tag: string, path: string}} about `path`: what a click opens
 * @param {() => void} onClick
 */
export async function notify(title, { body, tag, path }, onClick) {
  if (notificationProblem() || Notification.permission !== "granted") return;
  const options = { body, tag, silent: true, icon: iconOf(), data: { path } };
  try {
    const shown = new Notification(title, options);
    shown.onclick = () => {
      shown.close();
      focus();
      onClick();
    };
  } catch {
    // Phones show them by the page's worker only, which opens the path.
    const worker = await navigator.serviceWorker?.getRegistration(at("/"));
    await worker?.showNotification(title, options);
  }
}

const iconOf = () => document.querySelector("link[rel=icon]")?.getAttribute("href") ?? "";
