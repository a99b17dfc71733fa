/**
 * The page around the figures: the header, the notices, and which of its states the content shows.
 */

import { byId, write } from "./dom.js";
import * as format from "./format.js";

/**
 * What the header says of the connection.
 *
 * @param {Client.State} state
 */
function connectionText(state) {
  switch (state.name) {
    case "idle":
      return "Not connected";
    case "connecting":
      return state.again ? "Reconnecting…" : "Connecting…";
    case "live":
      return "Live";
    case "waiting":
      return `Reconnecting in ${state.seconds} s`;
    case "offline":
      return "Offline";
    case "taken-over":
      return "In another window";
    case "unavailable":
      return "Not available";
    case "refused":
      return "Disconnected";
    default: // logged-out
      return "Logged out";
  }
}

/**
 * What is said below the header, where the user should know or can act: title, text and button; null where nothing is.
 *
 * @param {Client.State} state
 */
function noticeOf(state) {
  const lost = "Connection lost.";
  const stale = "The figures below may be out of date.";
  switch (state.name) {
    case "connecting":
      return state.again ? [lost, `${stale} Reconnecting…`, "Retry now"] : null;
    case "waiting":
      return [lost, `${stale} Next try in ${state.seconds} s.`, "Retry now"];
    case "offline":
      return ["You are offline.", `${stale} They update when the network is back.`, "Retry now"];
    case "taken-over":
      return ["This agent is open in another window.", "The figures below are no longer updated.", "Show it here"];
    case "refused":
      return ["The server closed the connection.", `Reason: ${state.reason}.`, "Try again"];
    default:
      return null;
  }
}

export class View {
  #board = byId("board");
  #agent = byId("agent", HTMLSelectElement);
  #noticeButton = byId("notice-button", HTMLButtonElement);

  /**
   * @param {object} handlers
   * @param {() => void} handlers.logOut
   * @param {(id: string) => void} handlers.chooseAgent
   * @param {() => void} handlers.noticeButton
   * @param {() => void} handlers.reload
   */
  constructor({ logOut, chooseAgent, noticeButton, reload }) {
    byId("log-out").addEventListener("click", logOut);
    this.#agent.addEventListener("change", () => chooseAgent(this.#agent.value));
    this.#noticeButton.addEventListener("click", noticeButton);
    for (const button of document.querySelectorAll("[data-reload]")) button.addEventListener("click", reload);
  }

  /** @param {string} username */
  show(username) {
    this.#board.hidden = false;
    write("username", username);
  }

  hide() {
    this.#board.hidden = true;
    document.title = "Nexgent";
  }

  /**
   * Offer these agents.
   *
   * @param {Wire.AgentOnRest[] | null} agents null while they are not known.
   * @param {string | null} chosenId
   */
  setAgents(agents, chosenId) {
    const options = (agents ?? []).map(({ id, name, tradingMode }) => {
      const mode = tradingMode ? ` (${tradingMode})` : "";
      return new Option(name + mode, id, false, id === chosenId);
    });
    if (options.every((option) => option.value !== chosenId)) {
      const prompt = new Option(promptFor(agents), "", true, true);
      prompt.disabled = true;
      options.unshift(prompt);
    }
    this.#agent.replaceChildren(...options);
    this.#agent.disabled = !agents?.length;
  }

  /**
   * Name the window: the return, so that a tab in the background shows it, and the agent.
   *
   * @param {string | null} name
   * @param {string | null} profitPercent
   */
  setTitle(name, profitPercent = null) {
    const figure = profitPercent === null ? [] : [format.percent(profitPercent, format.signed)];
    const title = [...figure, ...(name ? [name] : []), "Nexgent"].join(" · ");
    if (document.title !== title) document.title = title;
  }

  /**
   * Say how long ago the last message came; not in a status that is read out every second.
   *
   * @param {number | null} milliseconds
   */
  setAge(milliseconds) {
    const seconds = Math.floor((milliseconds ?? 0) / 1000);
    const age = seconds < 2 ? "just now" : `${seconds} s ago`;
    write("connection-age", milliseconds === null ? "" : age);
  }

  /**
   * Show one of the content's states; an error with its text.
   *
   * @param {"loading" | "choose" | "no-agents" | "empty" | "positions" | "error"} name
   */
  setContent(name, error = "") {
    const content = byId("content");
    if (content.dataset.content !== name) content.dataset.content = name;
    content.setAttribute("aria-busy", String(name === "loading"));
    write("error-text", error);
  }

  /** @param {Client.State} state */
  setConnection(state) {
    byId("connection").dataset.state = state.name;
    write("connection-text", connectionText(state));
    const notice = noticeOf(state);
    const [title, detail, button] = notice ?? ["", "", ""];
    byId("notice").hidden = notice === null;
    this.#board.classList.toggle("frozen", notice !== null); // figures that are not updated look it
    this.#noticeButton.disabled = state.name === "connecting";
    write("notice-title", title);
    write("notice-text", detail);
    write("notice-button", button);
  }

  /**
   * Say where prices come from, and whether they are current.
   *
   * @param {Wire.PricesOnRest | "unreadable" | null} status null before the first answer.
   */
  setPrices(status) {
    const known = status === "unreadable" ? null : status;
    const source = byId("price-source");
    source.hidden = !known?.source;
    source.dataset.kind = known?.simulated ? "simulated" : "";
    source.title = known?.errors.join("\n") ?? "";
    write("price-source", known?.simulated ? "Simulated prices" : `Prices: ${known?.source}`);
    write("sol-price", known?.source ? `1 SOL = ${format.usd(known.solPriceUsd)}` : "");
    const problem = priceProblem(status);
    byId("prices-stale").hidden = problem === "";
    write("prices-stale", problem);
  }

  /** @param {Wire.Timestamp | null} timestamp */
  setUpdatedAt(timestamp) {
    write("updated-at", timestamp ? `Updated ${format.clock(timestamp)}` : "");
  }
}

/** @param {Wire.AgentOnRest[] | null} agents */
function promptFor(agents) {
  if (agents === null) return "Loading…";
  return agents.length ? "Choose an agent" : "No agents";
}

/** @param {Wire.PricesOnRest | "unreadable" | null} status */
function priceProblem(status) {
  if (status === "unreadable") return "Prices are unavailable";
  if (!status?.stale) return "";
  return status.updatedAt ? `No new prices since ${format.clock(status.updatedAt)}` : "No prices yet";
}
