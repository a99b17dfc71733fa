/**
 * The offline page: checks every few seconds whether the server is back, and then loads the page that was requested.
 */

// As base.js has it, which the worker would have to cache, too.
const BASE = document.documentElement.dataset.base ?? "/";
const ALIVE = `${BASE}health/live`;
const FROM_MS = 2000; // at random up to twice that, so that clients do not all return at once

async function check() {
  try {
    const answer = await fetch(ALIVE, { cache: "no-store" });
    if (answer.ok) load();
  } catch {
    // not yet
  }
}

function load() {
  if (location.pathname === `${BASE}offline`) location.replace(BASE);
  else location.reload(); // the address is that of the page which could not be loaded
}

function checkSoon() {
  setTimeout(async () => {
    await check();
    checkSoon();
  }, FROM_MS * (1 + Math.random()));
}

document.getElementById("again")?.addEventListener("click", (event) => {
  event.preventDefault();
  load();
});
addEventListener("online", check);
checkSoon();
