/**
 * The dialog in which alerts are chosen, agent by agent. What is chosen counts at once.
 *
 * @import { Kind, Way } from "./alert-settings.js"
 */

import { AlertSettings, KINDS, readNear, WAYS } from "./alert-settings.js";
import { complain } from "./ask.js";
import { byId, make, write } from "./dom.js";
import { askForNotifications, notificationProblem } from "./notifications.js";

/** @typedef {{id: string, name: string}} Named */

export class AlertPanel {
  #dialog = byId("alerts-dialog", HTMLDialogElement);
  #agent = byId("alerts-agent", HTMLSelectElement);
  #near = byId("alerts-near", HTMLInputElement);
  /** @type {{box: HTMLInputElement, kind: Kind, way: Way}[]} */
  #boxes = [];
  #settings = new AlertSettings();
  #settingsOf;
  #onChange;

  /**
   * @param {object} options
   * @param {() => {agents: Named[], shown: string | null}} options.agentsOf
   * @param {(agentId: string) => AlertSettings} options.settingsOf
   * @param {(agentId: string, settings: AlertSettings) => void} options.onChange
   * @param {(agentId: string, ways: Way[]) => void} options.onTry
   */
  constructor({ agentsOf, settingsOf, onChange, onTry }) {
    this.#settingsOf = settingsOf;
    this.#onChange = onChange;
    this.#makeBoxes();
    byId("alerts-open").addEventListener("click", () => {
      const { agents, shown } = agentsOf();
      this.#agent.replaceChildren(...agents.map(({ id, name }) => new Option(name, id)));
      if (shown !== null) this.#agent.value = shown;
      this.#show();
      this.#dialog.showModal();
    });
    this.#agent.addEventListener("change", () => this.#show());
    this.#near.addEventListener("input", () => this.#takeNear());
    byId("alerts-try").addEventListener("click", () => {
      const ways = [...this.#settings.ways];
      write("alerts-said", ways.length ? "" : "Choose something first.");
      if (ways.length) onTry(this.#agent.value, ways);
    });
    byId("alerts-done").addEventListener("click", () => this.#dialog.close());
  }

  close() {
    this.#dialog.close();
  }

  /** Show what is chosen for the agent, which another window may have changed. */
  refresh() {
    if (this.#dialog.open) this.#show();
  }

  #makeBoxes() {
    const rows = /** @type {[Kind, string][]} */ (Object.entries(KINDS)).map(([kind, when]) => {
      const row = make("tr");
      const head = make("th", "", when);
      head.scope = "row";
      row.append(head);
      for (const [way, text] of /** @type {[Way, string][]} */ (Object.entries(WAYS))) {
        const box = make("input");
        Object.assign(box, { type: "checkbox", value: `${kind}-${way}` });
        box.setAttribute("aria-label", `${text} when ${when}`);
        box.dataset.testid = `alert-${kind}-${way}`;
        if (way === "notification") box.setAttribute("aria-describedby", "alerts-notification-error");
        box.addEventListener("change", () => this.#choose(kind, way, box));
        const cell = make("td");
        const label = make("label");
        label.append(box);
        cell.append(label);
        row.append(cell);
        this.#boxes.push({ box, kind, way });
      }
      return row;
    });
    byId("alerts-choice").replaceChildren(...rows);
  }

  #show() {
    this.#settings = this.#settingsOf(this.#agent.value);
    for (const { box, kind, way } of this.#boxes) box.checked = this.#settings.waysOf(kind).has(way);
    this.#near.value = this.#settings.near;
    complain("alerts-near-error");
    write("alerts-said", "");
    complain("alerts-notification-error", this.#settings.ways.has("notification") ? notificationProblem() : "");
  }

  /**
   * @param {Kind} kind
   * @param {Way} way
   * @param {HTMLInputElement} box
   */
  async #choose(kind, way, box) {
    const [settings, agentId] = [this.#settings, this.#agent.value];
    if (way === "notification") {
      const problem = box.checked ? await askForNotifications() : "";
      if (problem) box.checked = false;
      complain("alerts-notification-error", problem);
    }
    settings.choose(kind, way, box.checked);
    this.#onChange(agentId, settings);
  }

  #takeNear() {
    const { digits, problem } = readNear(this.#near.value);
    complain("alerts-near-error", problem);
    this.#near.setAttribute("aria-invalid", String(problem !== undefined));
    if (digits === undefined) return;
    this.#settings.near = digits;
    this.#onChange(this.#agent.value, this.#settings);
  }
}
