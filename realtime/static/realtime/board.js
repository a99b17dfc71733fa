/**
 * The figures of the agent that is shown: the only owner of what the page knows of it (agent.js), and of the parts
 * that show it.
 *
 * @import { Navigation } from "./navigation.js"
 * @import { Session } from "./session.js"
 * @import { Toasts } from "./toasts.js"
 * @import { View } from "./view.js"
 */

import { Actions } from "./actions.js";
import { ChosenAgent } from "./agent.js";
import { copy } from "./clipboard.js";
import { noteSolUsd } from "./currency.js";
import { Details } from "./details.js";
import { Downloads } from "./downloads.js";
import { History } from "./history.js";
import { Ledger } from "./ledger.js";
import { Performance } from "./performance.js";
import { Pace } from "./pace.js";
import { PriceNotes } from "./price-notes.js";
import { Prices, STALE_AFTER_MS } from "./prices.js";
import { idOf } from "./store.js";
import { Summary } from "./summary.js";
import { Swipe } from "./swipe.js";
import { PositionTable } from "./table.js";
import { Timers } from "./timers.js";

const AGES_EVERY_MS = 30_000;

export class Board {
  /** @type {ChosenAgent | null} */
  #agent = null;
  /** @type {number | null} when a message last came, on the clock of `now`; null while the connection is live */
  #silentSince = null;
  /** @type {Wire.Digits | null} of the open positions, in percent */
  #return = null;
  #timers = new Timers(); // silence
  #view;
  #now;
  #pace = new Pace(
    () => this.#render(),
    () => this.#showHidden(),
  );
  #summary;
  #performance;
  #prices;
  #notes;
  #ledger;
  #table;
  #history;
  #actions;
  #swipe;
  #details;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {View} options.view
   * @param {Navigation} options.navigation
   * @param {Toasts} options.toasts
   * @param {() => number} options.now milliseconds of the epoch, by the server's clock
   * @param {(error: unknown) => void} options.onFailed is called with the error of a failed request.
   * @param {() => void} options.onLoginRequired
   */
  constructor({ session, view, navigation, toasts, now, onFailed, onLoginRequired }) {
    this.#view = view;
    this.#now = now;
    /** @param {string} text */
    const onCopy = (text) => copy(text, toasts);
    this.#prices = new Prices({
      session,
      isHeld: (token) => this.#agent?.store.holds(token) ?? false,
      onStatus: (status) => {
        view.setPrices(status);
        noteSolUsd(this.#prices.solUsd);
        this.#table.touch();
      },
    });
    this.#performance = new Performance({ session, now });
    this.#summary = new Summary({ onChoice: () => this.draw(), onTotals: (totals) => this.#performance.take(totals) });
    this.#notes = new PriceNotes(this.#prices, now);
    /** @param {Wire.LivePosition} position */
    const noteOf = (position) => this.#notes.of(this.#agent, position);
    this.#ledger = new Ledger({
      session,
      now,
      onNew: () => {
        this.#table.touch();
        this.draw();
      },
      onFailed,
    });
    this.#table = new PositionTable({
      onOpen: (id) => this.#agent && navigation.go(this.#agent.id, id),
      onCopy,
      onDirty: () => this.draw(),
      contextOf: (position) => this.#contextOf(position),
    });
    this.#history = new History({ session, onFailed });
    new Downloads({ session, agent: () => this.#agent, onError: (text) => toasts.complain(text) });
    this.#actions = new Actions({
      session,
      onPending: (id) => {
        this.#table.touch([id]);
        this.draw();
      },
      onError: (text) => toasts.complain(text),
      onLoginRequired,
      onCopy,
      noteOf,
      now,
    });
    this.#swipe = new Swipe((id, deed) => this.#do(id, deed));
    this.#details = new Details({
      session,
      prices: this.#prices,
      now,
      noteOf,
      onCopy,
      onMoveStop: (id) => this.#agent && this.#actions.moveStopLoss(this.#agent, id),
      onSell: (id, share) => this.#agent && this.#actions.sell(this.#agent, id, share),
      onLeave: () => navigation.leavePosition(),
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
   * @param {Wire.AgentOverviewOnRest | null} agent
   */
  show(agent) {
    this.#agent?.end();
    this.#agent = agent && new ChosenAgent(agent.id, agent.name, agent.tradingMode);
    this.#ledger.show(this.#agent);
    this.#performance.show(this.#agent);
    this.#swipe.close();
    this.#table.show(this.#agent?.store ?? null);
    this.#history.show(this.#agent);
    this.#actions.cancel();
    this.#details.close();
    this.#summary.hide();
    this.#return = null;
    this.#view.setUpdatedAt(null);
    this.#view.setTitle(agent?.name ?? null);
  }

  /**
   * A button of a card that was swiped.
   *
   * @param {string} id
   * @param {import("./swipe.js").Deed} deed
   */
  #do(id, deed) {
    if (!this.#agent) return;
    if (deed === "stop") this.#actions.moveStopLoss(this.#agent, id);
    else this.#actions.sell(this.#agent, id, deed === "sell" ? "50" : "100");
  }

  /**
   * Show this position's details; none for null.
   *
   * @param {string | null} id
   */
  open(id) {
    if (!this.#agent) return;
    if (id === null) {
      this.#actions.cancel();
      this.#details.close();
    } else if (!this.#details.shows(id)) {
      this.#details.open(this.#agent, id);
    }
  }

  /** @param {Wire.InitialDataData} data */
  snapshot(data) {
    if (!this.#agent) return;
    this.#agent.store.replace(data);
    for (const position of data.positions) this.#prices.note(position);
    this.#history.load(data.seq);
    this.#ledger.load();
    this.draw();
  }

  /** @param {Wire.PositionUpdateData} event */
  event(event) {
    if (!this.#agent) return;
    const id = idOf(event);
    const { store } = this.#agent;
    const before = store.change(event);
    if (store.membersSeq === event.seq) this.#ledger.refresh();
    this.#history.add(event, before);
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
      if (this.#silentSince !== null) {
        this.#details.reload();
        this.#performance.reload();
      }
      this.#silentSince = null;
      this.#notes.silent = false;
      this.#timers.cancelAll();
    } else if (this.#silentSince === null && this.#agent) {
      this.#silentSince = lastMessageAt;
      this.#notes.silent = true;
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

  /** Returns the milliseconds after which there are more rows to draw, 0 for the next frame; or null. */
  #render() {
    const agent = this.#agent;
    if (!agent?.store.loaded) return null;
    const more = this.#table.render();
    this.#return = this.#summary.show(agent, this.#prices.solUsd, this.#now());
    this.#details.render();
    this.#actions.render();
    this.#view.setContent(agent.store.size ? "positions" : "empty");
    this.#view.setUpdatedAt(agent.store.updatedAt);
    this.#showTitle();
    return more;
  }

  /** The window is hidden: only its title is seen. */
  #showHidden() {
    const agent = this.#agent;
    if (!agent?.store.loaded) return;
    this.#return = this.#summary.show(agent, this.#prices.solUsd, this.#now());
    this.#showTitle();
  }

  #showTitle() {
    this.#view.setTitle(this.#agent?.name ?? null, this.#return);
  }

  /**
   * What a row shows besides its position.
   *
   * @param {Wire.LivePosition} position
   */
  #contextOf(position) {
    return {
      pending: this.#agent?.pending.get(position.id),
      note: this.#notes.of(this.#agent, position),
      mode: this.#agent?.modeOf(position.walletAddress) ?? null,
      series: this.#prices.series(position.tokenAddress),
      now: this.#now(),
    };
  }
}
