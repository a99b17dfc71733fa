/**
 * Everything on the page but the table: the form, the header, the notices, which of the states is shown.
 */

import * as format from "./format.js";

const TOAST_MS = 4_000;

const byId = (id) => document.getElementById(id);

/** What the header says of the connection. */
const CONNECTION_TEXT = {
  idle: () => "Not connected",
  connecting: ({ again }) => (again ? "Reconnecting…" : "Connecting…"),
  live: () => "Live",
  waiting: ({ seconds }) => `Reconnecting in ${seconds} s`,
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
    document.addEventListener("close", () => this.#liftToasts(), true);
    for (const button of document.querySelectorAll("[data-reload]")) {
      button.addEventListener("click", () => handlers.reload());
    }
  }

  /** Show nobody's figures, and no form yet. */
  hide() {
    byId("board").hidden = byId("login").hidden = true;
    document.title = "Nexgent";
  }

  showLogin(error = "") {
    byId("board").hidden = true;
    byId("login").hidden = false;
    this.setLoginBusy(false);
    text("login-error", error);
    byId("login-error").hidden = error === "";
    byId("password").value = "";
    document.title = "Log in · Nexgent";
    byId(byId("username-field").value && error ? "password" : "username-field").focus();
  }

  setLoginBusy(busy) {
    byId("login-button").disabled = busy;
    text("login-button", busy ? "Logging in…" : "Log in");
  }

  showBoard(username) {
    byId("login").hidden = true;
    byId("login-form").reset();
    byId("board").hidden = false;
    text("username", username);
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

  /** What the window is called: the return, so that a tab in the background tells it, and the agent's name. */
  setTitle(name, profitPercent = null) {
    const figure = profitPercent === null ? [] : [format.percent(profitPercent, format.signed)];
    const title = [...figure, ...(name ? [name] : []), "Nexgent"].join(" · ");
    if (document.title !== title) document.title = title;
  }

  /** How long ago the last message came; not a status that is read out every second. */
  setAge(milliseconds) {
    const seconds = Math.floor(milliseconds / 1000);
    text("connection-age", milliseconds === null ? "" : seconds < 2 ? "just now" : `${seconds} s ago`);
  }

  /** Everything outside an open dialog lies below it and takes no click: so they go into it, and back. */
  #liftToasts() {
    const host = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
    if (byId("toasts").parentElement !== host) host.append(byId("toasts"));
  }

  /** Say something for a while; an error stays until it is put away. */
  toast(message, kind = "") {
    const toast = document.createElement("p");
    toast.className = "toast";
    toast.dataset.kind = kind;
    toast.dataset.testid = kind === "error" ? "toast-error" : "toast";
    if (kind === "error") toast.setAttribute("role", "alert");
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: "✕" });
    button.setAttribute("aria-label", "Put away");
    button.addEventListener("click", () => toast.remove());
    toast.append(message, button);
    byId("toasts").append(toast);
    this.#liftToasts();
    if (kind !== "error") setTimeout(() => toast.remove(), TOAST_MS);
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
    byId("board").classList.toggle("frozen", title !== undefined); // figures that nobody updates look it
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
