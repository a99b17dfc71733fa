{% load static %}/**
 * The service worker: shows /offline where a page cannot be loaded, and changes nothing else.
 *
 * No page and no data is ever served from a cache while the server answers. What the offline page is made of is kept
 * when the worker is installed; the browser compares this file with the server's at each visit, and installs it anew
 * when a name below has changed.
 */

const CACHE = "nexgent-offline";
const PAGE = "{% url 'offline' %}";
const FILES = [
  "{% static 'realtime/base.css' %}",
  "{% static 'realtime/favicon.svg' %}",
  "{% static 'realtime/offline.js' %}",
  "{% static 'realtime/theme.js' %}",
];
// What a proxy answers for a server that is not there.
const GATEWAY_ERRORS = [502, 503, 504];

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(forgetOldFiles()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { pathname } = new URL(request.url);
  if (request.mode === "navigate" && request.method === "GET") event.respondWith(load(request, PAGE));
  else if (FILES.includes(pathname)) event.respondWith(load(request, pathname));
});

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

/** What the server answers; where none does, what is kept at `path`. */
async function load(request, path) {
  let answer;
  try {
    answer = await fetch(request);
  } catch {
    return caches.match(path);
  }
  // Our own answers of these kinds are JSON (/health/ready), for whoever wants to read them.
  const isProxys = GATEWAY_ERRORS.includes(answer.status) && answer.headers.get("Content-Type")?.startsWith("text/html");
  return isProxys ? caches.match(path) : answer;
}
