/**
 * The page around the figures: the header, the notices, and which of its states the content shows.
 */

import { byId, say, write } from "./dom.js";
import * as format from "./format.js";
import { Timers } from "./timers.js";
import * as times from "./times.js";

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
      return "Reconnecting…"; // the seconds stand beside it: a status is read out with each change
    case "offline":
      return "Offline";
    case "taken-over":
      return "In another window";
    case "unavailable":
      return "Not available";
    case "refused":
    case "incompatible":
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
      return [
        state.limit ? "Not connected." : lost,
        `${state.limit && `The server says: ${state.limit}. `}${stale} Next try in ${state.seconds} s.`,
        "Retry now",
      ];
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

// A connection that is there has answered by then: it is asked after 7.5 s (nexgent.js).
const QUIET_MS = 9_000;
const TITLE_EVERY_MS = 1_000; // the browser itself draws it
const OLD = "What is shown here may be out of date.";

export class View {
  #board = byId("board");
  #agent = byId("agent", HTMLSelectElement);
  #noticeButton = byId("notice-button", HTMLButtonElement);
  #updatedAt = "";
  #timers = new Timers(); // title
  /** @type {string | null} */
  #name = null;
  #title = "Nexgent";
  #mark = "";

  /**
   * @param {object} handlers
   * @param {() => void} handlers.logOut
   * @param {(id: string | null) => void} handlers.chooseAgent is called with null for all.
   * @param {() => void} handlers.noticeButton
   * @param {() => void} handlers.reload
   */
  constructor({ logOut, chooseAgent, noticeButton, reload }) {
    byId("log-out").addEventListener("click", logOut);
    this.#agent.addEventListener("change", () => chooseAgent(this.#agent.value || null));
    this.#noticeButton.addEventListener("click", noticeButton);
    for (const button of document.querySelectorAll("[data-reload]")) button.addEventListener("click", reload);
  }

  /**
   * @param {string} username
   * @param {boolean} isStaff whether there is something for the user in the admin.
   */
  show(username, isStaff) {
    this.#board.hidden = false;
    write("username", username);
    const link = document.getElementById("admin"); // none where the project has no admin
    if (link) link.hidden = !isStaff;
  }

  hide() {
    this.#board.hidden = true;
    this.#mark = "";
    this.setTitle(null);
  }

  /**
   * Offer these agents, and all of them together where there are several.
   *
   * @param {Wire.AgentOverviewOnRest[] | null} agents null while they are not known.
   * @param {string | null} chosenId
   */
  setAgents(agents, chosenId) {
    const options = (agents ?? []).map(({ id, name, tradingMode }) => {
      const mode = tradingMode ? ` (${tradingMode})` : "";
      return { text: name + mode, value: id };
    });
    const isKnown = options.some(({ value }) => value === chosenId);
    if (options.length > 1 || !isKnown) options.unshift({ text: promptFor(agents), value: "" });
    const key = JSON.stringify(options);
    if (this.#agent.dataset.key !== key) {
      // Only on change: a list that is open would close.
      this.#agent.dataset.key = key;
      this.#agent.replaceChildren(...options.map(({ text, value }) => new Option(text, value)));
    }
    this.#agent.value = isKnown && chosenId ? chosenId : "";
    this.#agent.disabled = !agents?.length;
  }

  /** Put the focus on the heading of what is shown: what had it is gone. */
  focusHeading() {
    const [overview, desk] = [byId("overview-title"), byId("desk-title")];
    (overview.checkVisibility() ? overview : desk).focus();
  }

  /**
   * Name the window: the return, so that a tab in the background shows it, and the agent.
   *
   * @param {string | null} name
   * @param {string | null} profitPercent
   */
  setTitle(name, profitPercent = null) {
    const figure = profitPercent === null ? [] : [format.percent(profitPercent, format.signed)];
    this.#title = [...figure, ...(name ? [name] : []), "Nexgent"].join(" · ");
    if (name !== this.#name) this.#timers.cancel("title");
    this.#name = name;
    if (this.#timers.has("title")) return;
    this.#timers.set("title", TITLE_EVERY_MS, () => this.#writeTitle());
    this.#writeTitle();
  }

  /**
   * Begin the title with a mark; "" for none.
   *
   * @param {string} mark
   */
  markTitle(mark) {
    this.#mark = mark;
    this.#writeTitle();
  }

  #writeTitle() {
    const title = this.#mark + this.#title;
    if (document.title !== title) document.title = title;
  }

  /**
   * Say how long ago the last message of a live connection came; not in a status that is read out every second.
   *
   * @param {number} milliseconds
   */
  setAge(milliseconds) {
    const seconds = Math.floor(milliseconds / 1000);
    write("connection-age", seconds < 2 ? "just now" : `${seconds} s ago`);
    byId("connection").toggleAttribute("data-quiet", milliseconds > QUIET_MS);
  }

  /**
   * Show one of the content's states; an error with its text.
   *
   * @param {"loading" | "overview" | "not-found" | "no-agents" | "empty" | "positions" | "error"} name
   */
  setContent(name, error = "") {
    const content = byId("content");
    if (content.dataset.content !== name) content.dataset.content = name;
    const busy = String(name === "loading");
    if (content.ariaBusy !== busy) content.ariaBusy = busy;
    content.hidden = name === "overview";
    write("error-text", error);
  }

  /**
   * Say whether the overview, which no socket keeps current, is: "" or what is wrong.
   *
   * @param {string} problem
   */
  setOverview(problem) {
    byId("connection").dataset.state = problem ? "waiting" : "live";
    write("connection-text", problem ? "No answer" : "Up to date");
    byId("overview-error").hidden = problem === "";
    write("overview-error", problem && `${problem} The figures below may be out of date. Trying again…`);
    byId("overview").classList.toggle("stale", problem !== "");
  }

  /** @param {Client.State} state */
  setConnection(state) {
    byId("connection").dataset.state = state.name;
    write("connection-text", connectionText(state));
    byId("connection").removeAttribute("data-quiet");
    write("connection-age", state.name === "waiting" ? `in ${state.seconds} s` : "");
    const notice = noticeOf(state);
    const [title, detail, button] = notice ?? ["", "", ""];
    byId("notice").hidden = notice === null;
    this.#board.classList.toggle("frozen", notice !== null); // figures that are not updated look it
    // Also in what is open above the page, behind which nothing is read.
    for (const note of document.querySelectorAll(".connection-note")) say(note, notice ? `${title} ${OLD}` : "");
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
    const second = timestamp?.slice(0, 19) ?? "";
    if (second === this.#updatedAt) return;
    this.#updatedAt = second;
    write("updated-at", timestamp ? `Updated ${times.clock(timestamp)}` : "");
  }
}

/** @param {object[] | null} agents */
function promptFor(agents) {
  if (agents === null) return "Loading…";
  return agents.length ? "All agents" : "No agents";
}

/** @param {Wire.PricesOnRest | "unreadable" | null} status */
function priceProblem(status) {
  if (status === "unreadable") return "Prices are unavailable";
  if (!status?.stale) return "";
  return status.updatedAt ? `No new prices since ${times.clock(status.updatedAt)}` : "No prices yet";
}
