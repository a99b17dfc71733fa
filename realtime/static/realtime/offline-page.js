import { at } from "./base.js";

/**
 * Have the browser cache the offline page, which it shows when this one is loaded and no server answers.
 *
 * Without service workers (plain http from another machine, some private windows) it shows its own error page.
 */
export function keepOfflinePage() {
  // Pages may not name a script by a plain string here (trusted types): this policy allows that one address.
  const address = at("/offline-worker.js");
  const policy = globalThis.trustedTypes?.createPolicy("nexgent-offline", { createScriptURL: () => address });
  navigator.serviceWorker?.register(policy ? policy.createScriptURL(address) : address).catch(() => {
    // no server by now, or workers are not allowed: only that page depends on it
  });
}
