/**
 * The table's columns: their widths, the order of rows, which columns are shown, and which rows the filter leaves.
 */

import { stopLossPrice } from "./accounting.js";
import { Decimal, HUNDRED } from "./decimal.js";
import { around, byId, find, make } from "./dom.js";
import { recall, remember } from "./preferences.js";
import { isLive } from "./price-status.js";

const WIDTHS = {
  token: "minmax(136px, 1.3fr)",
  trend: "minmax(64px, 0.8fr)",
  amount: "minmax(104px, 1fr)",
  average: "minmax(92px, 1fr)",
  price: "minmax(96px, 1fr)",
  value: "minmax(88px, 1fr)",
  profit: "minmax(100px, 1fr)",
  return: "minmax(108px, 1fr)",
  stop: "minmax(92px, 1fr)",
  taken: "minmax(74px, 0.7fr)",
  dca: "46px",
  age: "64px",
};
const NAMES = {
  trend: "Trend",
  amount: "Amount",
  average: "Average price",
  price: "Price",
  value: "Value",
  profit: "Profit or loss",
  return: "Return",
  stop: "Stop loss",
  taken: "Profit taken",
  dca: "DCA",
  age: "Age",
};
const SORTS = {
  "": "Order of opening",
  "token+": "Token, A to Z",
  "value-": "Largest value",
  "profit-": "Largest profit",
  "profit+": "Largest loss",
  "return-": "Best return",
  "return+": "Worst return",
  "stop+": "Closest to stop loss",
  "age-": "Newest",
};
/** @type {Map<string, (position: Wire.LivePosition) => Decimal | string | null>} */
const KEYS = new Map(
  Object.entries({
    token: (position) => position.tokenSymbol.toLowerCase(),
    value: (position) => Decimal.of(position.positionValueSol),
    profit: (position) => Decimal.of(position.profitLossSol),
    return: (position) => Decimal.of(position.profitLossPercent),
    stop: (position) => stopDistance(position),
    age: (position) => position.createdAt,
  }),
);

/**
 * How far the price can fall before the stop loss sells, in percent of the price; null without a stop loss or a live
 * price.
 *
 * @param {Wire.LivePosition} position
 */
export function stopDistance(position) {
  const stop = stopLossPrice(position.purchasePrice, position.currentStopLossPercentage);
  const price = Decimal.of(position.currentPrice);
  if (stop === null || price.sign === 0 || !isLive(position)) return null;
  return price.minus(Decimal.of(stop)).over(price, 20).times(HUNDRED);
}

export class Columns {
  #table = byId("positions");
  #sort = recall("sort");
  #filter = "";
  #isNew = true;
  #hidden = new Set(recall("hidden-columns").split(" ").filter((name) => name in NAMES));

  /** @param {() => void} onChosen is called when the order or the filter changes. */
  constructor(onChosen) {
    const onChange = () => {
      this.#isNew = true;
      onChosen();
    };
    if (!(this.#sort in SORTS) && !this.#parsed) this.#sort = "";
    const sort = byId("sort", HTMLSelectElement);
    sort.append(...Object.entries(SORTS).map(([value, text]) => new Option(text, value)));
    /** @param {string} value */
    const choose = (value) => {
      this.#sort = value;
      remember("sort", value);
      this.#showSort(sort);
      onChange();
    };
    sort.addEventListener("change", () => choose(sort.value));
    for (const button of this.#table.querySelectorAll("button")) {
      const name = button.dataset.sort;
      if (name) button.addEventListener("click", () => choose(this.#next(name)));
    }
    this.#wireFilter(onChange);
    this.#wireChoice();
    this.#showSort(sort);
  }

  get sorted() {
    return this.#sort !== "";
  }

  /** Whether order or filter were chosen since the last call: then rows move, whoever points at them. */
  takeChoice() {
    const isNew = this.#isNew;
    this.#isNew = false;
    return isNew;
  }

  /**
   * Whether the filter leaves this position.
   *
   * @param {Wire.LivePosition} position
   */
  matches({ tokenSymbol, tokenAddress, walletAddress }) {
    return [tokenSymbol.toLowerCase(), tokenAddress.toLowerCase(), walletAddress.toLowerCase()].some((text) =>
      text.includes(this.#filter),
    );
  }

  /**
   * The positions' ids in the chosen order; what has no key comes last.
   *
   * @param {Wire.LivePosition[]} positions
   */
  order(positions) {
    const parsed = this.#parsed;
    if (!parsed) return positions.map(({ id }) => id);
    const keyed = positions.map((position) => ({ id: position.id, key: parsed.key(position) }));
    keyed.sort(({ key: a }, { key: b }) => {
      if (a === null || b === null) return Number(a === null) - Number(b === null);
      return parsed.sign * compare(a, b);
    });
    return keyed.map(({ id }) => id);
  }

  get #parsed() {
    const name = this.#sort.slice(0, -1);
    const key = KEYS.get(name);
    return key ? { name, key, sign: this.#sort.endsWith("+") ? 1 : -1 } : null;
  }

  /**
   * A header's three states: the more telling direction, the other one, none.
   *
   * @param {string} name
   */
  #next(name) {
    const [first, second] = ["token", "stop"].includes(name) ? ["+", "-"] : ["-", "+"];
    if (this.#sort === name + first) return name + second;
    return this.#sort === name + second ? "" : name + first;
  }

  /** @param {HTMLSelectElement} select */
  #showSort(select) {
    const parsed = this.#parsed;
    for (const header of this.#table.querySelectorAll("th")) {
      if (!parsed || header.dataset.column !== parsed.name) header.removeAttribute("aria-sort");
      else header.setAttribute("aria-sort", parsed.sign > 0 ? "ascending" : "descending");
    }
    select.value = this.#sort in SORTS ? this.#sort : "";
  }

  /** @param {() => void} onChange */
  #wireFilter(onChange) {
    const input = byId("filter", HTMLInputElement);
    input.addEventListener("input", () => {
      this.#filter = input.value.trim().toLowerCase();
      onChange();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !input.value) return;
      event.preventDefault();
      input.value = this.#filter = "";
      onChange();
    });
    document.addEventListener("keydown", (event) => {
      const typing = around(event, "input, select, textarea, dialog");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || !input.checkVisibility()) return;
      event.preventDefault();
      input.focus();
    });
  }

  #wireChoice() {
    const details = byId("columns", HTMLDetailsElement);
    for (const [name, text] of Object.entries(NAMES)) {
      const box = make("input");
      Object.assign(box, { type: "checkbox", checked: !this.#hidden.has(name), value: name });
      box.addEventListener("change", () => {
        if (box.checked) this.#hidden.delete(name);
        else this.#hidden.add(name);
        remember("hidden-columns", [...this.#hidden].join(" "));
        this.#showChoice();
      });
      const label = make("label");
      label.append(box, ` ${text}`);
      byId("column-choice").append(label);
    }
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      details.open = false;
      find(details, "summary").focus();
    });
    document.addEventListener("click", (event) => {
      if (around(event, "#columns") === null) details.open = false;
    });
    this.#showChoice();
  }

  #showChoice() {
    const shown = Object.entries(WIDTHS).filter(([name]) => !this.#hidden.has(name));
    this.#table.style.setProperty("--columns", shown.map(([, width]) => width).join(" "));
    this.#table.dataset.hidden = [...this.#hidden].join(" ");
  }
}

/**
 * @param {Decimal | string} a
 * @param {Decimal | string} b of the same kind
 */
function compare(a, b) {
  if (a instanceof Decimal && b instanceof Decimal) return a.compare(b);
  return a < b ? -1 : Number(a > b);
}
