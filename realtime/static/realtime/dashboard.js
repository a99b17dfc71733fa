/**
 * The page: who is logged in, which agents there are, and what arrives on the connection of the chosen one.
 *
 * Modules import each other by their plain names: relative imports resolve in the importing file's folder, where
 * collectstatic keeps files under their plain names as well as under hashed ones (production). So no inline import map
 * is needed, which the content security policy would refuse.
 */

import { Alerts } from "./alerts.js";
import { Board } from "./board.js";
import { LoginForm } from "./login.js";
import { LoginRequired, Nexgent } from "./nexgent.js";
import { Navigation } from "./navigation.js";
import { keepOfflinePage } from "./offline-page.js";
import { Overview } from "./overview.js";
import { wireHeader } from "./preferences.js";
import { isAborted, RequestFailed, Session } from "./session.js";
import { Tickets } from "./tickets.js";
import { Toasts } from "./toasts.js";
import { View } from "./view.js";

const SESSION_ENDED = "Your session has ended. Please log in again.";

class Dashboard {
  #session = new Session();
  #tickets = new Tickets(this.#session);
  #nexgent = new Nexgent({
    token: (options) => this.#session.token(options),
    ticket: () => this.#tickets.take(),
  });
  #toasts = new Toasts();
  #login = new LoginForm((username, password) => this.#logIn(username, password));
  #view = new View({
    logOut: () => this.#logOut(),
    chooseAgent: (id) => this.#navigation.go(id),
    noticeButton: () => this.#reconnect(),
    reload: () => {
      this.#refused = null;
      this.#overview.refresh();
    },
  });
  #navigation = new Navigation(() => {
    this.#refused = null;
    this.#showPlace();
  });
  #overview = new Overview({
    session: this.#session,
    onOpen: (id) => this.#navigation.go(id),
    onAnswer: (agents) => this.#take(agents),
    onFailed: (error) => this.#overviewFailed(error),
  });
  #board = new Board({
    session: this.#session,
    view: this.#view,
    navigation: this.#navigation,
    toasts: this.#toasts,
    now: () => this.#nexgent.serverNow,
    onFailed: (error) => error instanceof LoginRequired && this.#leave(SESSION_ENDED),
    onLoginRequired: () => this.#leave(SESSION_ENDED),
  });
  #alerts = new Alerts({
    session: this.#session,
    tickets: this.#tickets,
    view: this.#view,
    nexgent: this.#nexgent,
    onOpen: (agentId, positionId) => this.#navigation.go(agentId, positionId),
  });
  /** @type {Wire.AgentOverviewOnRest[] | null} null while they are not known */
  #agents = null;
  /** @type {{id: string, reason: string} | null} the agent of the address, where a socket was not opened for it */
  #refused = null;

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
    this.#navigation.replace(null); // the next user need not see what this one looked at
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
    this.#alerts.stop();
    this.#overview.stop();
    this.#board.stop();
    this.#agents = null;
    this.#toasts.clear();
    this.#view.hide();
  }

  async #start() {
    this.#login.hide();
    this.#view.show(this.#session.username ?? "", this.#session.isStaff);
    this.#view.setAgents(null, null);
    this.#view.setContent("loading");
    this.#board.start();
    this.#alerts.start();
    this.#tickets.prepare(); // while the agents are read
    await this.#overview.start();
    this.#view.focusHeading();
  }

  /**
   * The agents, as they are now.
   *
   * @param {Wire.AgentOverviewOnRest[]} agents
   */
  #take(agents) {
    const known = new Set(this.#agents?.map(({ id }) => id));
    const isNew = this.#agents === null || known.size !== agents.length || agents.some(({ id }) => !known.has(id));
    this.#agents = agents;
    this.#alerts.setAgents(agents);
    this.#view.setAgents(agents, this.#navigation.place.agentId);
    if (this.#board.agentId === null) this.#view.setOverview("");
    if (isNew || this.#board.agentId === null) this.#showPlace();
  }

  /** @param {unknown} error */
  #overviewFailed(error) {
    if (error instanceof LoginRequired) this.#leave(SESSION_ENDED);
    else if (this.#agents === null) this.#view.setContent("error", messageOf(error));
    else if (this.#board.agentId === null) this.#view.setOverview(messageOf(error));
  }

  /** Show what the address says. */
  #showPlace() {
    if (this.#agents === null) return; // nobody is logged in, or the agents are not known yet
    const { agentId, positionId } = this.#navigation.place;
    if (agentId === null && this.#agents.length === 1) {
      this.#navigation.replace(this.#agents[0].id);
      return;
    }
    if (agentId !== null && agentId === this.#refused?.id) {
      this.#view.setContent("error", `The server says: ${this.#refused.reason}. Choose another agent, or try again.`);
    } else if (agentId === null) {
      this.#show(null, this.#agents.length ? "overview" : "no-agents");
    } else if (agentId === this.#board.agentId) {
      this.#board.open(positionId);
    } else if (this.#agents.some(({ id }) => id === agentId)) {
      this.#choose(agentId);
      this.#board.open(positionId);
    } else {
      this.#show(null, "not-found");
    }
  }

  /** @param {string} id */
  #choose(id) {
    this.#show(id, "loading");
    this.#nexgent.connect(id);
  }

  /**
   * @param {string | null} id
   * @param {"loading" | "overview" | "no-agents" | "not-found"} content
   */
  #show(id, content) {
    this.#alerts.show(id);
    if (id === null && this.#nexgent.state.name !== "idle") this.#nexgent.close();
    if (id === null && this.#board.agentId === null) this.#view.setTitle(content === "overview" ? "Agents" : null);
    else this.#board.show(this.#agents?.find((agent) => agent.id === id) ?? null);
    this.#view.setAgents(this.#agents, id);
    this.#view.setContent(content);
    this.#overview.show(content === "overview");
    if (content === "overview") this.#view.setOverview("");
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
   * The agent was deleted or handed over, or the user may see none any more: read which are left.
   *
   * @param {string} reason
   */
  #agentIsGone(reason) {
    const id = this.#board.agentId;
    if (id === null) return;
    this.#refused = { id, reason };
    this.#agents = this.#agents?.filter((agent) => agent.id !== id) ?? null;
    this.#board.show(null);
    this.#alerts.show(null);
    this.#alerts.setAgents(this.#agents ?? []);
    this.#view.setAgents(this.#agents, null);
    this.#showPlace();
    this.#overview.refresh();
  }

  /** Take the agent back, or try again now. */
  #reconnect() {
    const id = this.#board.agentId;
    if (this.#nexgent.state.name === "taken-over" && id !== null) this.#nexgent.connect(id);
    else this.#nexgent.retryNow();
  }

  #showAge() {
    if (this.#nexgent.state.name === "live") this.#view.setAge(performance.now() - this.#nexgent.lastMessageAt);
  }
}

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

keepOfflinePage();
new Dashboard().resume();
