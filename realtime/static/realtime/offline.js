/** The offline page: looks every few seconds whether the server is back, and then loads what was asked for. */

const ALIVE = "/health/live";
const FROM_MS = 2000; // at random up to twice that: a server that comes back does not meet everyone at once

async function look() {
  try {
    const answer = await fetch(ALIVE, { cache: "no-store" });
    if (answer.ok) goOn();
  } catch {
    // not yet
  }
}

function goOn() {
  if (location.pathname === "/offline") location.replace("/");
  else location.reload(); // the address is that of the page which could not be loaded
}

function lookAgain() {
  setTimeout(async () => {
    await look();
    lookAgain();
  }, FROM_MS * (1 + Math.random()));
}

document.getElementById("again").addEventListener("click", (event) => {
  event.preventDefault();
  goOn();
});
addEventListener("online", look);
lookAgain();
