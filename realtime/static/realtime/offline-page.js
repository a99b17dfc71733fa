/**
 * Have the browser keep the page that it shows when it loads this one and no server answers.
 *
 * Without service workers (plain http from another machine, some private windows) it shows its own.
 */
export function keepOfflinePage() {
  // Pages may not name a script by a plain string here (trusted types): this policy allows that one address.
  const address = "/offline-worker.js";
  const policy = globalThis.trustedTypes?.createPolicy("nexgent-offline", { createScriptURL: () => address });
  navigator.serviceWorker?.register(policy ? policy.createScriptURL(address) : address).catch(() => {
    // the server went meanwhile, or workers are not allowed: nothing but that page depends on it
  });
}
