/**
 * Everything on the page but the table: the form, the header, the notices, which of the states is shown.
 */

import * as format from "./format.js";

const byId = (id) => document.getElementById(id);

/** What the header says of the connection. */
const CONNECTION_TEXT = {
  idle: () => "Not connected",
  connecting: ({ again }) => (again ? "Reconnecting…" : "Connecting…"),
  live: () => "Live",
  waiting: () => "Reconnecting…",
  offline: () => "Offline",
  "taken-over": () => "In another window",
  unavailable: () => "Not available",
  refused: () => "Disconnected",
  "logged-out": () => "Logged out",
};

/** What is said below the header, where the user should know or can act: title, text and button. */
const NOTICES = {
  connecting: ({ again }) => again && ["Connection lost.", "The figures below may be old. Trying now.", "Try now"],
  waiting: ({ seconds }) => ["Connection lost.", `The figures below may be old. Next try in ${seconds} s.`, "Try now"],
  offline: () => ["You are offline.", "The figures below may be old. They come back with the network.", "Try now"],
  "taken-over": () => [
    "This agent is open in another window.",
    "The figures below are no longer updated here.",
    "Take it back",
  ],
  refused: ({ reason }) => ["The server ended the connection.", `It says: ${reason}.`, "Try again"],
};

export class View {
  /** @param handlers `{logIn, logOut, chooseAgent, noticeButton, reload}` */
  constructor(handlers) {
    byId("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const fields = new FormData(event.target);
      handlers.logIn(fields.get("username"), fields.get("password"));
    });
    byId("log-out").addEventListener("click", () => handlers.logOut());
    byId("agent").addEventListener("change", (event) => handlers.chooseAgent(event.target.value));
    byId("notice-button").addEventListener("click", () => handlers.noticeButton());
    for (const button of document.querySelectorAll("[data-reload]")) {
      button.addEventListener("click", () => handlers.reload());
    }
  }

  showLogin(error = "") {
    byId("board").hidden = true;
    byId("login").hidden = false;
    this.setLoginBusy(false);
    text("login-error", error);
    byId("login-error").hidden = error === "";
    byId("password").value = "";
    byId(byId("username").value && error ? "password" : "username").focus();
  }

  setLoginBusy(busy) {
    byId("login-button").disabled = busy;
    text("login-button", busy ? "Logging in…" : "Log in");
  }

  showBoard() {
    byId("login").hidden = true;
    byId("login-form").reset();
    byId("board").hidden = false;
  }

  /** Offer these agents, null while they are not known; `chosenId` may be null. */
  setAgents(agents, chosenId) {
    const select = byId("agent");
    const options = (agents ?? []).map((agent) => {
      const mode = agent.tradingMode ? ` (${agent.tradingMode})` : "";
      return new Option(agent.name + mode, agent.id, false, agent.id === chosenId);
    });
    if (options.every((option) => option.value !== chosenId)) {
      const prompt = new Option(agents ? (agents.length ? "Choose an agent" : "No agents") : "Loading…", "", true, true);
      prompt.disabled = true;
      options.unshift(prompt);
    }
    select.replaceChildren(...options);
    select.disabled = !agents?.length;
  }

  setAgentName(name) {
    document.title = name ? `${name} · Nexgent` : "Nexgent";
  }

  /** Show one of: loading, choose, no-agents, empty, positions, error (with its text). */
  setContent(name, error = "") {
    const content = byId("content");
    if (content.dataset.content !== name) content.dataset.content = name;
    content.setAttribute("aria-busy", String(name === "loading"));
    text("error-text", error);
  }

  setConnection(state) {
    byId("connection").dataset.state = state.name;
    text("connection-text", CONNECTION_TEXT[state.name](state));
    const [title, detail, button] = NOTICES[state.name]?.(state) || [];
    byId("notice").hidden = title === undefined;
    byId("content").classList.toggle("frozen", title !== undefined); // figures that nobody updates look it
    byId("notice-button").disabled = state.name === "connecting";
    text("notice-title", title ?? "");
    text("notice-text", detail ?? "");
    text("notice-button", button ?? "");
  }

  /** Say where prices come from; `status` is null where nobody knows. */
  setPrices(status) {
    const source = byId("price-source");
    source.hidden = !status?.source;
    source.dataset.kind = status?.simulated ? "simulated" : "";
    source.title = status?.errors?.join("\n") ?? "";
    text("price-source", status?.simulated ? "Simulated prices" : `Prices: ${status?.source}`);
    byId("prices-stale").hidden = !status?.stale;
    text("prices-stale", status?.stale ? staleText(status) : "");
    text("sol-price", status?.source ? `1 SOL = ${format.usd(status.solPriceUsd ?? null)}` : "");
  }

  setUpdatedAt(timestamp) {
    text("updated-at", timestamp ? `Updated ${format.clock(timestamp)}` : "");
  }
}

function staleText({ updatedAt, unreadable }) {
  if (unreadable) return "Prices cannot be read right now";
  return updatedAt ? `No new prices since ${format.clock(updatedAt)}` : "No prices yet";
}

/** Only on change: a status region would say the same again. */
function text(id, value) {
  const element = byId(id);
  if (element.textContent !== value) element.textContent = value;
}
