/**
 * The agents that are watched for alerts: the one that is shown, over its connection, and others over one of their own.
 *
 * @import { AlertSettings } from "./alert-settings.js"
 * @import { News } from "./alert-watch.js"
 * @import { Session } from "./session.js"
 * @import { Tickets } from "./tickets.js"
 */

import { Watch } from "./alert-watch.js";
import { Nexgent } from "./nexgent.js";

export class WatchedAgents {
  #session;
  #tickets;
  #settingsOf;
  #onNews;
  /** @type {string | null} */
  #shown = null;
  /** @type {Map<string, Watch>} by agent */
  #watches = new Map();
  /** @type {Map<string, Nexgent>} of agents that are not shown here */
  #others = new Map();

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {Tickets} options.tickets
   * @param {Nexgent} options.nexgent the connection of the agent that is shown
   * @param {(agentId: string) => AlertSettings} options.settingsOf
   * @param {(agentId: string, news: News) => void} options.onNews
   */
  constructor({ session, tickets, nexgent, settingsOf, onNews }) {
    this.#session = session;
    this.#tickets = tickets;
    this.#settingsOf = settingsOf;
    this.#onNews = onNews;
    this.#follow(nexgent, () => this.#shown);
  }

  /**
   * Open and close connections and watches, so that these agents are watched, and the one that is shown.
   *
   * @param {Set<string>} wanted
   * @param {string | null} shown
   */
  watch(wanted, shown) {
    this.#shown = shown;
    // What is known of an agent that this window neither shows nor follows grows old.
    const watched = new Set([...wanted, ...(shown === null ? [] : [shown])]);
    for (const id of this.#watches.keys()) if (!watched.has(id)) this.#watches.delete(id);
    for (const id of watched) {
      if (!this.#watches.has(id)) this.#watches.set(id, new Watch(this.#settingsOf(id)));
    }
    const followed = new Set([...wanted].filter((id) => id !== shown));
    for (const [id, nexgent] of this.#others) {
      if (followed.has(id)) continue;
      this.#others.delete(id);
      nexgent.close();
    }
    for (const id of followed) if (!this.#others.has(id)) this.#connect(id);
  }

  /**
   * @param {string} agentId
   * @param {AlertSettings} settings the agent's from now on
   */
  choose(agentId, settings) {
    this.#watches.get(agentId)?.choose(settings);
  }

  /** The settings may have changed: read them again. */
  refresh() {
    for (const [id, watch] of this.#watches) watch.choose(this.#settingsOf(id));
  }

  /** @param {string} id */
  #connect(id) {
    const nexgent = new Nexgent({
      token: (options) => this.#session.token(options),
      ticket: () => this.#tickets.take(),
    });
    this.#others.set(id, nexgent);
    this.#follow(nexgent, () => (this.#others.get(id) === nexgent ? id : null));
    nexgent.connect(id);
  }

  /**
   * @param {Nexgent} nexgent
   * @param {() => string | null} agentOf which agent it is of
   */
  #follow(nexgent, agentOf) {
    /** @param {(watch: Watch) => News[]} find */
    const look = (find) => {
      const id = agentOf();
      const watch = id === null ? undefined : this.#watches.get(id);
      if (id !== null && watch) for (const news of find(watch)) this.#onNews(id, news);
    };
    nexgent.addEventListener("snapshot", ({ detail }) => look((watch) => watch.snapshot(detail)));
    nexgent.addEventListener("event", ({ detail }) => look((watch) => watch.event(detail)));
    nexgent.addEventListener("prices", ({ detail }) => look((watch) => watch.prices(detail)));
    nexgent.addEventListener("state", ({ detail: { name } }) => {
      look((watch) => watch.connection(name, performance.now()));
    });
  }
}
