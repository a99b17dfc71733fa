/**
 * The page: who is logged in, which agent is shown, and what its connection brings.
 *
 * Modules import each other by their plain names: relative imports resolve beside the importing file, with hashed
 * names (production, where collectstatic keeps the plain ones as well) and without, and need no inline import map,
 * which the content security policy would refuse.
 */

import { Actions } from "./actions.js";
import * as api from "./api.js";
import { Details } from "./details.js";
import { History } from "./history.js";
import { LoginRequired, Nexgent } from "./nexgent.js";
import { keepOfflinePage } from "./offline-page.js";
import { Pace } from "./pace.js";
import { recall, remember, wireHeader } from "./preferences.js";
import { Session } from "./session.js";
import { Store } from "./store.js";
import { Summary } from "./summary.js";
import { PositionTable } from "./table.js";
import { View } from "./view.js";

const PRICES_EVERY_MS = 10_000;
const AGES_EVERY_MS = 30_000;
// Rows that cannot be seen are written a few with every frame; where no more come, this long after the last.
const REST_AFTER_MS = 150;
const OLD_PRICE_MS = 60_000;
const SESSION_ENDED = "Your session has ended. Please log in again.";

const pace = new Pace(render, () => store.loaded && showTitle(store.totals()));
const session = new Session();
const store = new Store();
const summary = new Summary();
const view = new View({ logIn, logOut, chooseAgent, noticeButton, reload: loadAgents });
const table = new PositionTable({ onOpen: openDetails, onCopy: copy, onDirty: draw, contextOf });
const history = new History({ session, onResults, onFailed: loginIfRequired });
const actions = new Actions({
  session,
  position: (id) => store.get(id),
  onPending: (id) => table.touch([id]),
  onError: (text) => view.toast(text, "error"),
  onLoginRequired: () => leave(SESSION_ENDED),
});
const details = new Details({
  session,
  agentId: () => agentId,
  series: (token) => store.series(token),
  onCopy: copy,
  onMoveStop: (id) => actions.moveStopLoss(id),
  onClose: (id) => actions.close(id),
});
const nexgent = new Nexgent({ token: (options) => session.token(options) });

let agents = [];
let agentId = null;
let pricesTimer = null;
const priceTimes = new Map(); // token address → when its price was known to hold

nexgent.addEventListener("state", ({ detail }) => onState(detail));
nexgent.addEventListener("snapshot", ({ detail }) => {
  store.replace(detail);
  history.load(agentId, detail.seq);
  draw();
});
nexgent.addEventListener("event", ({ detail }) => {
  const id = detail.position?.id ?? detail.positionId;
  history.add(detail, store.change(detail));
  actions.confirm(id, store.get(id));
  if (details.id === id) details.loadHistory();
  draw();
});
nexgent.addEventListener("prices", ({ detail }) => {
  store.reprice(detail);
  for (const { tokenAddress } of detail.updates) priceTimes.set(tokenAddress, detail.timestamp);
  draw();
});

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

async function logOut() {
  const gone = session.logout();
  forgetAll();
  view.hide();
  let problem = "";
  try {
    await gone;
  } catch (error) {
    problem = `You are logged out here, but the server has not heard of it: ${error.message}`;
  }
  view.showLogin(problem);
}

/** Show the log-in, and nothing of who was here. */
function leave(message = "") {
  forgetAll();
  view.showLogin(message);
}

function forgetAll() {
  nexgent.close();
  clearTimeout(pricesTimer);
  session.forget();
  show(null);
  agents = [];
  view.setPrices(null);
}

async function start() {
  view.showBoard(session.username);
  view.setAgents(null, null);
  pollPrices();
  await loadAgents();
}

/** Go on with the session that this browser has, if any. */
async function resume() {
  try {
    if (await session.resume()) await start();
    else view.showLogin();
  } catch (error) {
    view.showLogin(error instanceof LoginRequired ? SESSION_ENDED : error.message);
  }
}

/** Read which agents there are, and go on with the one that was chosen last. */
async function loadAgents() {
  view.setContent("loading");
  try {
    agents = await api.agents(session);
  } catch (error) {
    failed(error);
    return;
  }
  const last = recall("agent");
  const chosen = agents.length === 1 ? agents[0] : agents.find((agent) => agent.id === last);
  if (chosen) {
    chooseAgent(chosen.id);
    return;
  }
  show(null);
  view.setContent(agents.length ? "choose" : "no-agents");
}

function chooseAgent(id) {
  remember("agent", id);
  show(id);
  view.setContent("loading");
  nexgent.connect(id);
}

/** Make this the agent on the page, which shows nothing of the one before from here on. */
function show(id) {
  agentId = id;
  store.clear();
  table.clear();
  summary.hide();
  history.clear();
  actions.clear();
  details.close();
  view.setUpdatedAt(null);
  view.setAgents(agents, id);
  view.setTitle(agentName());
}

const agentName = () => agents.find((agent) => agent.id === agentId)?.name;

function onState(state) {
  view.setConnection(state);
  showAge();
  if (state.name === "logged-out") leave(SESSION_ENDED);
  if (state.name === "unavailable") agentIsGone(state.reason);
}

/** The agent was deleted or handed over, or never was the user's: show who is left. */
async function agentIsGone(reason) {
  remember("agent", null);
  show(null);
  view.setContent("loading");
  try {
    agents = await api.agents(session);
  } catch (error) {
    failed(error);
    return;
  }
  if (agentId !== null) return; // another one was chosen meanwhile
  show(null);
  view.setContent("error", `The server says: ${reason}. Choose another agent, or try again.`);
}

function draw() {
  pace.request();
}

/** Returns when to draw on, for rows that cannot be seen. */
function render() {
  if (!store.loaded) return null;
  const more = table.render(store);
  const sum = summary.show(store);
  if (details.id) details.show(store.get(details.id));
  view.setContent(store.size ? "positions" : "empty");
  view.setUpdatedAt(store.updatedAt);
  showTitle(sum);
  return more ? REST_AFTER_MS : null;
}

function showTitle(sum) {
  view.setTitle(agentName(), store.size ? sum.profitLossPercent : null);
}

/** What a row is told besides its position. */
function contextOf({ id, tokenAddress }) {
  const time = priceTimes.get(tokenAddress);
  return {
    pending: actions.pending(id),
    staleSince: time && nexgent.serverNow - Date.parse(time) > OLD_PRICE_MS ? time : null,
    series: store.series(tokenAddress),
    now: nexgent.serverNow,
  };
}

function openDetails(id) {
  const position = store.get(id);
  if (position) details.open(position);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    view.toast("Copied.");
  } catch {
    view.toast(`This browser does not let the page copy. Here it is: ${text}`, "error");
  }
}

function noticeButton() {
  if (nexgent.state.name === "taken-over") nexgent.connect(agentId);
  else nexgent.retryNow();
}

function onResults(results) {
  summary.setResults(results);
  draw();
}

/** Keep the price source's line up to date; without an answer it says nothing rather than something old. */
async function pollPrices() {
  clearTimeout(pricesTimer);
  let status = null;
  try {
    if (!document.hidden) status = await api.prices(session);
  } catch (error) {
    if (error instanceof LoginRequired) return; // the connection, or the next click, says so
    status = { stale: true, unreadable: true };
  }
  if (session.username === null) return;
  if (status) showPrices(status);
  clearTimeout(pricesTimer);
  pricesTimer = setTimeout(pollPrices, PRICES_EVERY_MS);
}

function showPrices(status) {
  view.setPrices(status);
  summary.setRate(status.solPriceUsd ?? null);
  for (const { tokenAddress, timestamp } of status.prices ?? []) {
    if (!(priceTimes.get(tokenAddress) > timestamp)) priceTimes.set(tokenAddress, timestamp);
  }
  table.touch();
}

function failed(error) {
  if (!loginIfRequired(error)) view.setContent("error", error.message);
}

function loginIfRequired(error) {
  if (!(error instanceof LoginRequired)) return false;
  leave(SESSION_ENDED);
  return true;
}

function showAge() {
  view.setAge(nexgent.state.name === "live" ? performance.now() - nexgent.lastMessageAt : null);
}

keepOfflinePage();
wireHeader(draw);
setInterval(showAge, 1000);
setInterval(() => table.touch(), AGES_EVERY_MS);
document.addEventListener("visibilitychange", () => !document.hidden && session.username !== null && pollPrices());
resume();
