// {% load static %}
/**
 * The service worker: shows /offline where a page cannot be loaded, and what an alert is about once it is clicked. A
 * Django template.
 *
 * No page and no data is ever served from a cache while the server answers. The files of the offline page are cached
 * when the worker is installed; the browser compares this file with the server's at each visit, and installs it again
 * when a name below has changed.
 */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const CACHE = "nexgent-offline";
const PAGE = "{% url 'nexgent:offline' %}";
const FILES = [
  "{% static 'realtime/base.css' %}",
  "{% static 'realtime/favicon.svg' %}",
  "{% static 'realtime/offline.js' %}",
  "{% static 'realtime/theme.js' %}",
];
// What a proxy answers for a server that cannot be reached.
const GATEWAY_ERRORS = [502, 503, 504];

worker.addEventListener("install", (event) => event.waitUntil(keep()));
worker.addEventListener("activate", (event) => event.waitUntil(forgetOldFiles()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const { pathname } = new URL(request.url);
  if (request.mode === "navigate" && request.method === "GET") event.respondWith(load(request, PAGE));
  else if (FILES.includes(pathname)) event.respondWith(load(request, pathname));
});
worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data.path));
});

/**
 * Show the path that an alert is about, in a window that is there or in a new one.
 *
 * @param {string} path
 */
async function open(path) {
  const [page] = await worker.clients.matchAll({ type: "window" });
  if (!page) await worker.clients.openWindow(path);
  else await (await page.navigate(path))?.focus();
}

async function keep() {
  const cache = await caches.open(CACHE);
  await cache.addAll([PAGE, ...FILES].map((path) => new Request(path, { cache: "reload" })));
}

async function forgetOldFiles() {
  const cache = await caches.open(CACHE);
  for (const { url } of await cache.keys()) {
    if (![PAGE, ...FILES].includes(new URL(url).pathname)) await cache.delete(url);
  }
}

/**
 * The server's answer; where there is none, what is cached at `path`.
 *
 * @param {Request} request
 * @param {string} path
 */
async function load(request, path) {
  let answer;
  try {
    answer = await fetch(request);
  } catch {
    return cached(path);
  }
  // The server's own answers with these statuses are JSON (/health/ready), and shown as they are.
  const isHtml = answer.headers.get("Content-Type")?.startsWith("text/html");
  return GATEWAY_ERRORS.includes(answer.status) && isHtml ? cached(path) : answer;
}

/** @param {string} path */
const cached = async (path) => (await caches.match(path)) ?? Response.error();
