/**
 * How the agent does over time: its value, and the results of its closed positions.
 *
 * @import { ChosenAgent } from "./agent.js"
 * @import { Session } from "./session.js"
 * @import { Totals } from "./summary.js"
 */

import { byId } from "./dom.js";
import { recall, remember } from "./preferences.js";
import { ResultsCard } from "./results-card.js";
import { ValueChart } from "./value-chart.js";

// Else it would push the positions out of the first screen.
const ROOMY = "(min-width: 861px) and (min-height: 1040px)";

export class Performance {
  #section = byId("performance", HTMLDetailsElement);
  #value;
  #results = new ResultsCard();
  /** @type {Totals | null} the last ones */
  #totals = null;

  /**
   * @param {object} options
   * @param {Session} options.session
   * @param {() => number} options.now milliseconds of the epoch, by the server's clock
   */
  constructor({ session, now }) {
    this.#value = new ValueChart({ session, now });
    const section = this.#section;
    let isOpen = recall("performance", matchMedia(ROOMY).matches ? "open" : "closed") === "open";
    section.open = isOpen;
    section.addEventListener("toggle", () => {
      if (section.open === isOpen) return; // not a choice: the event of the line above
      isOpen = section.open;
      remember("performance", isOpen ? "open" : "closed");
      if (this.#totals) this.take(this.#totals); // the next ones come with the next price
    });
  }

  /** @param {ChosenAgent | null} agent */
  show(agent) {
    this.#section.hidden = true; // until there are totals
    this.#totals = null;
    this.#value.show(agent);
    this.#results.show(agent);
  }

  /** Something may have been missed. */
  reload() {
    this.#value.reload();
  }

  /**
   * The totals that are shown now.
   *
   * @param {Totals} totals
   */
  take(totals) {
    const { mode, isMixed, open, earned, solUsd, statuses } = totals;
    this.#totals = totals;
    if (this.#section.hidden) this.#section.hidden = false;
    if (!this.#section.open) return;
    this.#results.take(mode, solUsd);
    const { positionValueSol: valueSol, positionValueUsd: valueUsd, unrealizedSol, count: positions } = open;
    const notLive = statuses.filter((status) => status !== "live").length;
    const { total: profitSol } = earned;
    const now = { valueSol, valueUsd, unrealizedSol, solUsd, positions, notLive };
    this.#value.take(isMixed ? mode : null, profitSol === null ? null : { ...now, profitSol });
  }
}
