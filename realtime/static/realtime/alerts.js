/**
 * Tells the user what happens to agents, in the ways that are chosen for each: alert-settings.js. Of the windows of a
 * user one speaks (alert-windows.js); it also follows the agents that it does not show (alert-agents.js). Each window
 * lists what it says.
 *
 * @import { AlertSettings, Way } from "./alert-settings.js"
 * @import { Alert } from "./alert-text.js"
 * @import { News } from "./alert-watch.js"
 * @import { Nexgent } from "./nexgent.js"
 * @import { Session } from "./session.js"
 * @import { Tickets } from "./tickets.js"
 * @import { View } from "./view.js"
 */

import { WatchedAgents } from "./alert-agents.js";
import { AlertList } from "./alert-list.js";
import { AlertPanel } from "./alert-panel.js";
import { readSettings, storeSettings } from "./alert-settings.js";
import { AlertSound } from "./alert-sound.js";
import { resultOf, textOf } from "./alert-text.js";
import { Windows } from "./alert-windows.js";
import * as api from "./api.js";
import { byId } from "./dom.js";
import { pathOf } from "./navigation.js";
import { notify } from "./notifications.js";

const TOGETHER_MS = 5_000; // what is of one kind within this time is one alert
const SERVER_MS = 30_000; // the connections of several agents to one server are lost within this time
const RESULTS_OF_ONE_ALERT = 4;

/** @typedef {{id: string, name: string}} Named */

export class Alerts {
  #list = new AlertList();
  #sound = new AlertSound();
  #panel;
  #windows;
  #watched;
  #session;
  #view;
  #onOpen;
  /** @type {Named[]} */
  #agents = [];
  /** @type {string | null} */
  #shown = null;
  /** @type {Map<string, Alert>} the last one of each tag */
  #last = new Map();
  #unseen = 0;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {Tickets} options.tickets
   * @param {View} options.view
   * @param {Nexgent} options.nexgent the connection of the agent that is shown
   * @param {(agentId: string, positionId: string | null) => void} options.onOpen
   */
  constructor({ session, tickets, view, nexgent, onOpen }) {
    this.#session = session;
    this.#view = view;
    this.#onOpen = onOpen;
    this.#panel = new AlertPanel({
      agentsOf: () => ({ agents: this.#agents, shown: this.#shown }),
      settingsOf: (agentId) => this.#settingsOf(agentId),
      onChange: (agentId, settings) => this.#choose(agentId, settings),
      onTry: (agentId, ways) => this.#try(agentId, ways),
    });
    this.#windows = new Windows({
      onSpeak: () => this.#sync(),
      onMessage: (data) => (data === "seen" ? this.#unmark() : this.#take(data)),
    });
    this.#watched = new WatchedAgents({
      session,
      tickets,
      nexgent,
      settingsOf: (agentId) => this.#settingsOf(agentId),
      onNews: (agentId, news) => this.#tell(agentId, news),
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.#see());
    addEventListener("storage", ({ key }) => key?.startsWith("nexgent.alerts.") && this.#settingsChanged());
  }

  /** A user has logged in. */
  start() {
    this.stop();
    this.#windows.start(`nexgent.alerts.${this.#session.username}`);
  }

  /** The user has logged out. */
  stop() {
    this.#windows.stop();
    this.#agents = [];
    this.#shown = null;
    this.#last.clear();
    this.#list.clear();
    this.#panel.close();
    this.#unmark();
    this.#sync();
  }

  /** @param {Named[]} agents all of the user's */
  setAgents(agents) {
    this.#agents = agents;
    this.#sync();
  }

  /** @param {string | null} agentId the agent that is shown from now on */
  show(agentId) {
    if (this.#shown === agentId) return;
    this.#shown = agentId;
    this.#sync();
  }

  /** Follow what the choice, the agents and what is shown ask for. */
  #sync() {
    const on = new Set(this.#agents.map(({ id }) => id).filter((id) => this.#settingsOf(id).isOn));
    byId("alerts-open").toggleAttribute("data-on", on.size > 0);
    this.#watched.watch(this.#windows.speaks ? on : new Set(), this.#shown);
  }

  /**
   * @param {string} agentId
   * @param {News} news
   */
  #tell(agentId, { kind, items }) {
    const ways = [...this.#settingsOf(agentId).waysOf(kind)];
    if (!this.#windows.speaks || ways.length === 0) return;
    const tag = kind === "connection" ? kind : `${agentId} ${kind}`;
    const [last, at] = [this.#last.get(tag), Date.now()];
    /** @type {Alert} */
    let alert = { id: `${tag} ${at}`, kind, agentId, agentName: this.#nameOf(agentId), items, ways, at };
    const isBack = items[0].detail === "back";
    if (last && isBack) alert = { ...alert, id: last.id, ways: without(ways, "sound") };
    else if (last && kind === "connection" && at - last.at < SERVER_MS) alert = sameServer(last, alert);
    else if (last && at - last.at < TOGETHER_MS) alert = { ...alert, id: last.id, items: [...last.items, ...items] };
    this.#last.set(tag, alert);
    this.#say(alert);
    if (kind === "closed") this.#learnResults(alert, tag, items);
  }

  /**
   * Say what the closed positions brought, once the server has answered: no message has it.
   *
   * @param {Alert} alert
   * @param {string} tag
   * @param {import("./alert-watch.js").Item[]} items
   */
  async #learnResults(alert, tag, items) {
    const { signal } = this.#windows;
    if (!signal || alert.items.length > RESULTS_OF_ONE_ALERT) return;
    for (const item of items) {
      if (item.positionId === null) continue;
      try {
        item.detail = resultOf(await api.position(this.#session, item.positionId, signal));
      } catch {
        return; // it is closed, whatever it brought
      }
    }
    const newest = this.#last.get(tag);
    if (!signal.aborted && newest?.id === alert.id) this.#say(newest, { isSaid: true });
  }

  /** @param {Alert} alert */
  #say(alert, { isSaid = false } = {}) {
    this.#windows.post({ alert, isSaid });
    this.#take({ alert, isSaid });
    if (!alert.ways.includes("notification")) return;
    const [only] = alert.items.length === 1 ? alert.items : [];
    const positionId = only?.positionId ?? null;
    const about = { body: textOf(alert), tag: alert.id, path: pathOf(alert.agentId, positionId) };
    notify(alert.agentName, about, () => this.#onOpen(alert.agentId, positionId));
  }

  /**
   * Something is told, by this window or another.
   *
   * @param {{alert: Alert, isSaid: boolean}} told `isSaid`: it was told before, and says more now.
   */
  #take({ alert, isSaid }) {
    const isNew = this.#list.show(alert, { isSaid });
    if (alert.ways.includes("sound") && !isSaid) this.#sound.play(alert.kind);
    if (!isNew || !alert.ways.includes("title") || !document.hidden) return;
    this.#unseen += 1;
    this.#mark();
  }

  /** The user looks at this window: then the others need no mark either. */
  #see() {
    this.#unmark();
    this.#windows.post("seen");
  }

  #unmark() {
    this.#unseen = 0;
    this.#mark();
  }

  /** Have the title say how many alerts the user has not seen. */
  #mark() {
    this.#view.markTitle(this.#unseen > 0 ? `(${this.#unseen}) ` : "");
  }

  /**
   * @param {string} agentId
   * @param {Way[]} ways
   */
  #try(agentId, ways) {
    const at = Date.now();
    const about = { agentId, agentName: this.#nameOf(agentId), items: [], ways: without(ways, "title"), at };
    this.#say({ id: `try ${at}`, kind: "try", ...about });
    if (!ways.includes("title")) return;
    this.#view.markTitle("(1) ");
    setTimeout(() => this.#mark(), TOGETHER_MS);
  }

  /** @param {string} agentId */
  #nameOf(agentId) {
    return this.#agents.find(({ id }) => id === agentId)?.name ?? "";
  }

  /** @param {string} agentId */
  #settingsOf(agentId) {
    return readSettings(this.#session.username ?? "", agentId);
  }

  /**
   * @param {string} agentId
   * @param {AlertSettings} settings
   */
  #choose(agentId, settings) {
    storeSettings(this.#session.username ?? "", agentId, settings);
    this.#watched.choose(agentId, settings);
    this.#sync();
  }

  /** In another window. */
  #settingsChanged() {
    this.#watched.refresh();
    this.#panel.refresh();
    this.#sync();
  }
}

/**
 * One alert that the connections of both agents are lost.
 *
 * @param {Alert} last
 * @param {Alert} alert
 */
function sameServer(last, alert) {
  const names = new Set([...last.agentName.split(", "), alert.agentName]);
  return { ...alert, id: last.id, agentName: [...names].join(", ") };
}

/**
 * @param {Way[]} ways
 * @param {Way} left
 */
const without = (ways, left) => ways.filter((way) => way !== left);
