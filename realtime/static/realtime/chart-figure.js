/**
 * A chart with what belongs to it: the figures of the point that is read, the same as a table, and what to say where
 * there is nothing to draw. (realtime/templates/realtime/chart.html)
 *
 * @import { Drawing } from "./chart-layout.js"
 */

import { Chart } from "./chart.js";
import { byId, find, make, say } from "./dom.js";

/**
 * What is shown. Cells are texts, with every digit as their title.
 *
 * @typedef {{text: string, title?: string}} Cell
 * @typedef {{key: string, cells: Cell[]}} Row
 * @typedef {object} Content
 * @property {Drawing} drawing
 * @property {(index: number) => string} textOf what a point shows, in words
 * @property {string[]} columns
 * @property {() => Row[]} rows the last first
 * @property {string} caption
 */

export class ChartFigure {
  #figure;
  #plot;
  #chart;
  #table;
  #asTable;
  #note;
  #readout;
  #caption;
  #retry;
  /** @type {Content | null} */
  #content = null;
  #seen = false;
  /** @type {Map<string, {row: HTMLElement, text: string}>} the rows of the table, by their keys */
  #rows = new Map();

  /**
   * @param {string} id
   * @param {object} handlers
   * @param {() => void} handlers.onRetry
   * @param {() => void} [handlers.onSeen] is called when the chart comes into view.
   */
  constructor(id, { onRetry, onSeen = () => {} }) {
    const figure = byId(id);
    /** @param {string} name */
    const part = (name) => find(figure, `[data-part="${name}"]`);
    this.#figure = figure;
    this.#plot = part("plot");
    this.#table = part("table");
    this.#note = part("note");
    this.#readout = part("readout");
    this.#caption = part("caption");
    this.#asTable = find(this.#figure, '[data-part="as-table"]', HTMLButtonElement);
    this.#retry = part("retry");
    this.#chart = new Chart(this.#plot, (text) => say(this.#readout, text));
    this.#retry.addEventListener("click", onRetry);
    this.#asTable.addEventListener("click", () => {
      this.#asTable.setAttribute("aria-pressed", String(!this.isTable));
      this.#draw();
    });
    new IntersectionObserver((entries) => {
      const before = this.#seen;
      this.#seen = entries[entries.length - 1].isIntersecting;
      if (this.#seen && !before) onSeen();
    }).observe(this.#figure);
  }

  /** Whether somebody can see it. */
  get seen() {
    return this.#seen && !document.hidden;
  }

  get isTable() {
    return this.#asTable.getAttribute("aria-pressed") === "true";
  }

  /** @param {Content | null} content null: there is nothing to draw. */
  show(content) {
    this.#content = content;
    this.#draw();
  }

  /**
   * Say why there is no chart, or what is wrong with the one that is there.
   *
   * @param {string} sentence
   */
  say(sentence, { retry = false } = {}) {
    say(this.#note, sentence);
    this.#note.hidden = sentence === "";
    this.#retry.hidden = !retry;
  }

  #draw() {
    const content = this.#content;
    const { isTable } = this;
    this.#figure.toggleAttribute("data-empty", content === null);
    this.#plot.hidden = content === null || isTable;
    this.#table.hidden = content === null || !isTable;
    this.#asTable.hidden = content === null;
    this.#readout.hidden = content === null || isTable;
    say(this.#caption, content?.caption ?? "");
    if (!content) return;
    if (isTable) this.#fill(content);
    else this.#chart.draw(content.drawing, content.textOf);
  }

  /**
   * Write what has changed: whoever reads the table stays where they are.
   *
   * @param {Content} content
   */
  #fill({ columns, rows }) {
    const [head, body] = [find(this.#table, "thead tr"), find(this.#table, "tbody")];
    const titles = columns.join("\n");
    if (head.dataset.titles !== titles) {
      head.dataset.titles = titles;
      head.replaceChildren(...columns.map((title) => header("col", title)));
      this.#rows.clear();
    }
    const known = this.#rows;
    this.#rows = new Map();
    for (const { key, cells } of rows()) {
      const text = JSON.stringify(cells);
      const before = known.get(key);
      const row = before?.row ?? make("tr");
      if (before?.text !== text) row.replaceChildren(...cells.map(cellOf));
      this.#rows.set(key, { row, text });
    }
    const wanted = [...this.#rows.values()].map(({ row }) => row);
    if (wanted.length !== body.childElementCount || wanted.some((row, index) => body.children[index] !== row)) {
      body.replaceChildren(...wanted);
    }
  }
}

/**
 * @param {"row" | "col"} scope
 * @param {string} text
 */
function header(scope, text) {
  const element = make("th", "", text);
  element.scope = scope;
  return element;
}

/**
 * @param {Cell} cell
 * @param {number} index
 */
function cellOf({ text, title = "" }, index) {
  if (index === 0) return header("row", text);
  const element = make("td");
  const span = make("span");
  say(span, text);
  if (title) span.title = title;
  element.append(span);
  return element;
}
