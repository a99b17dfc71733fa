/**
 * The figures of the agent that is shown: the only owner of what the page knows of it (agent.js), and of the parts
 * that show it.
 *
 * @import { Session } from "./session.js"
 * @import { Toasts } from "./toasts.js"
 * @import { View } from "./view.js"
 */

import { Actions } from "./actions.js";
import { ChosenAgent } from "./agent.js";
import { Details } from "./details.js";
import { History } from "./history.js";
import { Pace } from "./pace.js";
import { noteOf, statusOf } from "./price-status.js";
import { Prices, STALE_AFTER_MS } from "./prices.js";
import { idOf } from "./store.js";
import { Summary } from "./summary.js";
import { PositionTable } from "./table.js";
import { Timers } from "./timers.js";

const AGES_EVERY_MS = 30_000;
// Rows that cannot be seen are written a few with every frame; where no more come, this long after the last.
const REST_AFTER_MS = 150;

export class Board {
  /** @type {ChosenAgent | null} */
  #agent = null;
  /** @type {number | null} when a message last came, on the clock of `now`; null while the connection is live */
  #silentSince = null;
  #timers = new Timers(); // silence
  #view;
  #now;
  #pace = new Pace(
    () => this.#render(),
    () => this.#agent?.store.loaded && this.#showTitle(),
  );
  #summary = new Summary();
  #prices;
  #table;
  #history;
  #actions;
  #details;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {View} options.view
   * @param {Toasts} options.toasts
   * @param {() => number} options.now milliseconds of the epoch, by the server's clock
   * @param {(error: unknown) => void} options.onFailed is called with the error of a failed request.
   * @param {() => void} options.onLoginRequired
   */
  constructor({ session, view, toasts, now, onFailed, onLoginRequired }) {
    this.#view = view;
    this.#now = now;
    /** @param {string} text */
    const onCopy = (text) => copy(text, toasts);
    this.#prices = new Prices({
      session,
      isHeld: (token) => this.#agent?.store.holds(token) ?? false,
      onStatus: (status) => {
        view.setPrices(status);
        this.#table.touch();
      },
    });
    this.#table = new PositionTable({
      onOpen: (id) => this.#agent?.store.get(id) && this.#details.open(this.#agent, id),
      onCopy,
      onDirty: () => this.draw(),
      contextOf: (position) => this.#contextOf(position),
    });
    this.#history = new History({ session, onResults: () => this.draw(), onFailed });
    this.#actions = new Actions({
      session,
      onPending: (id) => this.#table.touch([id]),
      onError: (text) => toasts.complain(text),
      onLoginRequired,
      noteOf: (position) => this.#noteOf(position),
    });
    this.#details = new Details({
      session,
      prices: this.#prices,
      noteOf: (position) => this.#noteOf(position),
      onCopy,
      onMoveStop: (id) => this.#agent && this.#actions.moveStopLoss(this.#agent, id),
      onClose: (id) => this.#agent && this.#actions.close(this.#agent, id),
    });
    setInterval(() => this.#table.touch(), AGES_EVERY_MS);
  }

  /** @type {string | null} */
  get agentId() {
    return this.#agent?.id ?? null;
  }

  /** A user has logged in: prices are asked for from now on. */
  start() {
    this.#prices.start();
  }

  /** The user has logged out: show nothing. */
  stop() {
    this.#prices.stop();
    this.#view.setPrices(null);
    this.show(null);
  }

  /**
   * Make this the agent that is shown; nothing of the one before is left.
   *
   * @param {{id: string, name: string} | null} agent
   */
  show(agent) {
    this.#agent?.end();
    this.#agent = agent && new ChosenAgent(agent.id, agent.name);
    this.#table.show(this.#agent?.store ?? null);
    this.#history.show(this.#agent);
    this.#actions.cancel();
    this.#details.close();
    this.#summary.hide();
    this.#view.setUpdatedAt(null);
    this.#view.setTitle(agent?.name ?? null);
  }

  /** @param {Wire.InitialDataData} data */
  snapshot(data) {
    if (!this.#agent) return;
    this.#agent.store.replace(data);
    for (const position of data.positions) this.#prices.note(position);
    this.#history.load(data.seq);
    this.draw();
  }

  /** @param {Wire.PositionUpdateData} event */
  event(event) {
    if (!this.#agent) return;
    const id = idOf(event);
    this.#history.add(event, this.#agent.store.change(event));
    if (event.position) this.#prices.note(event.position);
    this.#actions.confirm(this.#agent, id);
    if (this.#details.shows(id)) this.#details.loadHistory();
    this.draw();
  }

  /** @param {Wire.PriceUpdateBatchData} data */
  prices(data) {
    if (!this.#agent) return;
    this.#prices.update({ ...data, updates: this.#agent.store.reprice(data) });
    this.draw();
  }

  /**
   * The connection is live, or it is not: then prices that nothing can confirm become stale here as on the server.
   *
   * @param {boolean} live
   * @param {number} lastMessageAt when a message last came, on the clock of `now`
   */
  connection(live, lastMessageAt) {
    if (live) {
      this.#silentSince = null;
      this.#timers.cancelAll();
    } else if (this.#silentSince === null && this.#agent) {
      this.#silentSince = lastMessageAt;
      this.#timers.set("silence", lastMessageAt + STALE_AFTER_MS - this.#now(), () => this.#lose(lastMessageAt));
    }
  }

  /** @param {number} lastMessageAt */
  #lose(lastMessageAt) {
    this.#agent?.store.lose(new Date(lastMessageAt).toISOString());
    this.draw();
  }

  /** Something has changed: draw it in the next frame. */
  draw() {
    this.#pace.request();
  }

  /** Returns the milliseconds after which there is more to draw, for rows that cannot be seen; or null. */
  #render() {
    const agent = this.#agent;
    if (!agent?.store.loaded) return null;
    const more = this.#table.render();
    const sum = this.#summary.show(agent, this.#prices.solUsd);
    this.#details.render();
    this.#actions.render();
    this.#view.setContent(agent.store.size ? "positions" : "empty");
    this.#view.setUpdatedAt(agent.store.updatedAt);
    this.#showTitle(sum);
    return more ? REST_AFTER_MS : null;
  }

  #showTitle(sum = this.#agent?.store.totals()) {
    const percent = this.#agent?.store.size ? sum?.profitLossPercent : null;
    this.#view.setTitle(this.#agent?.name ?? null, percent ?? null);
  }

  /**
   * What a row shows besides its position.
   *
   * @param {Wire.LivePosition} position
   */
  #contextOf(position) {
    return {
      pending: this.#agent?.pending.get(position.id),
      note: this.#noteOf(position),
      series: this.#prices.series(position.tokenAddress),
      now: this.#now(),
    };
  }

  /**
   * How reliable the position's price is.
   *
   * @param {Wire.LivePosition} position
   */
  #noteOf(position) {
    const { id, tokenAddress, priceStatus, priceTimestamp } = position;
    const [status, now] = [statusOf(position), this.#now()];
    if (status === "thin") return noteOf(status, this.#agent?.store.since(id) ?? null, now);
    if (priceStatus === undefined && status === "live") {
      const since = this.#prices.staleSince(tokenAddress, now);
      return noteOf(since === null ? "live" : "stale", since, now);
    }
    // A poll may know a later answer than the last update; while the connection is lost, not one for the price shown.
    const polled = status === "stale" && this.#silentSince === null ? this.#prices.currentAt(tokenAddress) : null;
    return noteOf(status, polled !== null && polled > (priceTimestamp ?? "") ? polled : priceTimestamp, now);
  }
}

/**
 * @param {string} text
 * @param {Toasts} toasts
 */
async function copy(text, toasts) {
  try {
    await navigator.clipboard.writeText(text);
    toasts.say("Copied.");
  } catch {
    toasts.complain(`The browser does not allow the page to copy. To copy by hand: ${text}`);
  }
}
