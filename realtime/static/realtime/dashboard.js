/**
 * The page: who is logged in, which agents there are, and what arrives on the connection of the chosen one.
 *
 * Modules import each other by their plain names: relative imports resolve in the importing file's folder, where
 * collectstatic keeps files under their plain names as well as under hashed ones (production). So no inline import map
 * is needed, which the content security policy would refuse.
 */

import * as api from "./api.js";
import { Board } from "./board.js";
import { LoginForm } from "./login.js";
import { LoginRequired, Nexgent } from "./nexgent.js";
import { keepOfflinePage } from "./offline-page.js";
import { recall, remember, wireHeader } from "./preferences.js";
import { isAborted, RequestFailed, Session } from "./session.js";
import { Toasts } from "./toasts.js";
import { View } from "./view.js";

const SESSION_ENDED = "Your session has ended. Please log in again.";

class Dashboard {
  #session = new Session();
  #nexgent = new Nexgent({ token: (options) => this.#session.token(options) });
  #toasts = new Toasts();
  #login = new LoginForm((username, password) => this.#logIn(username, password));
  #view = new View({
    logOut: () => this.#logOut(),
    chooseAgent: (id) => this.#choose(id),
    noticeButton: () => this.#reconnect(),
    reload: () => this.#loadAgents(),
  });
  #board = new Board({
    session: this.#session,
    view: this.#view,
    toasts: this.#toasts,
    now: () => this.#nexgent.serverNow,
    onFailed: (error) => error instanceof LoginRequired && this.#leave(SESSION_ENDED),
    onLoginRequired: () => this.#leave(SESSION_ENDED),
  });
  /** @type {Wire.AgentOnRest[]} */
  #agents = [];

  constructor() {
    this.#nexgent.addEventListener("state", ({ detail }) => this.#onState(detail));
    this.#nexgent.addEventListener("snapshot", ({ detail }) => this.#board.snapshot(detail));
    this.#nexgent.addEventListener("event", ({ detail }) => this.#board.event(detail));
    this.#nexgent.addEventListener("prices", ({ detail }) => this.#board.prices(detail));
    wireHeader(() => this.#board.draw());
    setInterval(() => this.#showAge(), 1000);
  }

  /** Resume the session that this browser has, if any. */
  async resume() {
    try {
      if (await this.#session.resume()) await this.#start();
      else this.#login.show();
    } catch (error) {
      this.#login.show(error instanceof LoginRequired ? SESSION_ENDED : messageOf(error));
    }
  }

  /**
   * @param {string} username
   * @param {string} password
   */
  async #logIn(username, password) {
    this.#login.setBusy(true);
    try {
      await this.#session.login(username, password);
    } catch (error) {
      if (isAborted(error)) return;
      const wrong = error instanceof RequestFailed && error.status === 401;
      this.#login.show(wrong ? "Wrong user name or password." : messageOf(error));
      return;
    }
    await this.#start();
  }

  async #logOut() {
    const answer = this.#session.logout();
    this.#clear();
    let problem = "";
    try {
      await answer;
    } catch (error) {
      problem = `You are logged out here, but the server could not be notified: ${messageOf(error)}`;
    }
    this.#login.show(problem);
  }

  /**
   * Show the log-in form, and nothing of the user before.
   *
   * @param {string} message
   */
  #leave(message) {
    this.#session.forget();
    this.#clear();
    this.#login.show(message);
  }

  #clear() {
    this.#nexgent.close();
    this.#board.stop();
    this.#agents = [];
    this.#toasts.clear();
    this.#view.hide();
  }

  async #start() {
    this.#login.hide();
    this.#view.show(this.#session.username ?? "");
    this.#view.setAgents(null, null);
    this.#board.start();
    await this.#loadAgents();
  }

  /** Read which agents there are, and go on with the one that was chosen last. */
  async #loadAgents() {
    if (!(await this.#readAgents())) return;
    const last = recall("agent");
    const chosen = this.#agents.length === 1 ? this.#agents[0] : this.#agents.find(({ id }) => id === last);
    if (chosen) {
      this.#choose(chosen.id);
    } else {
      this.#show(null);
      this.#view.setContent(this.#agents.length ? "choose" : "no-agents");
    }
  }

  /** Returns whether that has worked; else the page says why not. */
  async #readAgents() {
    this.#view.setContent("loading");
    try {
      this.#agents = await api.agents(this.#session);
      return true;
    } catch (error) {
      if (error instanceof LoginRequired) this.#leave(SESSION_ENDED);
      else if (!isAborted(error)) this.#view.setContent("error", messageOf(error));
      return false;
    }
  }

  /** @param {string} id */
  #choose(id) {
    remember("agent", id);
    this.#show(id);
    this.#view.setContent("loading");
    this.#nexgent.connect(id);
  }

  /** @param {string | null} id */
  #show(id) {
    this.#board.show(this.#agents.find((agent) => agent.id === id) ?? null);
    this.#view.setAgents(this.#agents, id);
  }

  /** @param {Client.State} state */
  #onState(state) {
    this.#view.setConnection(state);
    const quietFor = performance.now() - this.#nexgent.lastMessageAt;
    this.#board.connection(state.name === "live", this.#nexgent.serverNow - quietFor);
    this.#showAge();
    if (state.name === "logged-out") this.#leave(SESSION_ENDED);
    if (state.name === "unavailable") this.#agentIsGone(state.reason);
  }

  /**
   * The agent was deleted or handed over, or never was the user's: show which are left.
   *
   * @param {string} reason
   */
  async #agentIsGone(reason) {
    remember("agent", "");
    this.#show(null);
    if (!(await this.#readAgents())) return;
    if (this.#board.agentId !== null) return; // another one was chosen meanwhile
    this.#show(null);
    this.#view.setContent("error", `The server says: ${reason}. Choose another agent, or try again.`);
  }

  /** Take the agent back, or try again now. */
  #reconnect() {
    const id = this.#board.agentId;
    if (this.#nexgent.state.name === "taken-over" && id !== null) this.#nexgent.connect(id);
    else this.#nexgent.retryNow();
  }

  #showAge() {
    const live = this.#nexgent.state.name === "live";
    this.#view.setAge(live ? performance.now() - this.#nexgent.lastMessageAt : null);
  }
}

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

keepOfflinePage();
new Dashboard().resume();
