/**
 * The page: who is logged in, which agent is shown, and what its connection brings.
 *
 * Modules import each other by their plain names: relative imports resolve beside the importing file, with hashed
 * names (production, where collectstatic keeps the plain ones as well) and without, and need no inline import map,
 * which the content security policy would refuse.
 */

import { LoginRequired, Session } from "./api.js";
import { Connection } from "./connection.js";
import { Store } from "./store.js";
import { PositionTable } from "./table.js";
import { View } from "./view.js";

const CHOSEN_AGENT_KEY = "nexgent.agent";
const PRICES_EVERY_MS = 10_000;

const session = new Session();
const store = new Store();
const table = new PositionTable();
const view = new View({ logIn, logOut, chooseAgent, noticeButton, reload: loadAgents });
const connection = new Connection({ tokens: session, onState, onMessage });

let agents = [];
let agentId = null;
let frame = null;
let pricesTimer = null;

async function logIn(username, password) {
  view.setLoginBusy(true);
  try {
    await session.login(username, password);
  } catch (error) {
    view.showLogin(error.status === 401 ? "Wrong user name or password." : error.message);
    return;
  }
  await start();
}

function logOut(message = "") {
  connection.close();
  clearTimeout(pricesTimer);
  session.forget();
  show(null);
  agents = [];
  view.setPrices(null);
  view.showLogin(message);
}

async function start() {
  view.showBoard();
  view.setAgents(null, null);
  pollPrices();
  await loadAgents();
}

/** Read which agents there are, and go on with the one that was chosen last. */
async function loadAgents() {
  view.setContent("loading");
  try {
    agents = await session.agents();
  } catch (error) {
    failed(error);
    return;
  }
  const last = localStorage.getItem(CHOSEN_AGENT_KEY);
  const chosen = agents.length === 1 ? agents[0] : agents.find((agent) => agent.id === last);
  if (chosen) {
    chooseAgent(chosen.id);
    return;
  }
  show(null);
  view.setContent(agents.length ? "choose" : "no-agents");
}

function chooseAgent(id) {
  localStorage.setItem(CHOSEN_AGENT_KEY, id);
  show(id);
  view.setContent("loading");
  connection.connect(id);
}

/** Make this the agent on the page, which shows nothing of the one before from here on. */
function show(id) {
  agentId = id;
  store.clear();
  table.clear();
  view.setUpdatedAt(null);
  view.setAgents(agents, id);
  view.setAgentName(agents.find((agent) => agent.id === id)?.name);
}

function onState(state) {
  view.setConnection(state);
  if (state.name === "logged-out") logOut("Your session has ended. Please log in again.");
  if (state.name === "unavailable") agentIsGone(state.reason);
}

/** The agent was deleted or handed over, or never was the user's: show who is left. */
async function agentIsGone(reason) {
  localStorage.removeItem(CHOSEN_AGENT_KEY);
  show(null);
  view.setContent("loading");
  try {
    agents = await session.agents();
  } catch (error) {
    failed(error);
    return;
  }
  if (agentId !== null) return; // another one was chosen meanwhile
  show(null);
  view.setContent("error", `The server says: ${reason}. Choose another agent, or try again.`);
}

function onMessage(message) {
  let complete = false;
  try {
    complete = store.apply(message);
  } catch (error) {
    console.error("a message was not understood", message.type, error);
  }
  if (complete) frame ??= requestAnimationFrame(render);
  else connection.restart("Something was missed");
}

function render() {
  frame = null;
  if (!store.loaded) return;
  table.render(store);
  view.setContent(store.size ? "positions" : "empty");
  view.setUpdatedAt(store.updatedAt);
}

function noticeButton() {
  if (connection.state.name === "taken-over") connection.connect(agentId);
  else connection.retryNow();
}

/** Keep the price source's line up to date; without an answer it says nothing rather than something old. */
async function pollPrices() {
  clearTimeout(pricesTimer);
  let status = null;
  try {
    if (!document.hidden) status = await session.prices();
  } catch (error) {
    if (error instanceof LoginRequired) return; // the connection, or the next click, says so
    status = { stale: true, unreadable: true };
  }
  if (!session.remembered) return;
  if (status || !document.hidden) view.setPrices(status);
  clearTimeout(pricesTimer);
  pricesTimer = setTimeout(pollPrices, PRICES_EVERY_MS);
}

function failed(error) {
  if (error instanceof LoginRequired) logOut("Your session has ended. Please log in again.");
  else view.setContent("error", error.message);
}

document.addEventListener("visibilitychange", () => !document.hidden && session.remembered && pollPrices());

if (session.remembered) start();
else view.showLogin();
