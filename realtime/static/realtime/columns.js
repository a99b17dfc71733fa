/**
 * The table's columns: how wide, how sorted, which shown; and which rows a filter leaves.
 */

import { stopLossPrice } from "./accounting.js";
import { make } from "./cells.js";
import { Decimal, HUNDRED } from "./decimal.js";
import { recall, remember } from "./preferences.js";

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
  trend: "Trend", amount: "Amount", average: "Average price", price: "Price", value: "Value", profit: "Profit or loss",
  return: "Return", stop: "Stop loss", taken: "Profit taken", dca: "DCA", age: "Age",
};
const SORTS = {
  "": "In order of opening",
  "token+": "Token, A to Z",
  "value-": "Largest value",
  "profit-": "Largest profit",
  "profit+": "Largest loss",
  "return-": "Best return",
  "return+": "Worst return",
  "stop+": "Closest to stop loss",
  "age-": "Newest",
};
const KEYS = {
  token: (position) => position.tokenSymbol.toLowerCase(),
  value: (position) => Decimal.of(position.positionValueSol),
  profit: (position) => Decimal.of(position.profitLossSol),
  return: (position) => Decimal.of(position.profitLossPercent),
  stop: (position) => stopDistance(position),
  age: (position) => position.createdAt,
};

/** How far the price may fall until the stop loss sells, in percent of the price, a Decimal; null without either. */
export function stopDistance(position) {
  const stop = stopLossPrice(position.purchasePrice, position.currentStopLossPercentage);
  const price = Decimal.of(position.currentPrice);
  if (stop === null || price.sign === 0 || position.priceSource !== "live") return null;
  return price.minus(Decimal.of(stop)).over(price, 20).times(HUNDRED);
}

export class Columns {
  #table = document.getElementById("positions");
  #sort = recall("sort", "");
  #filter = "";
  #hidden = new Set(recall("hidden-columns", "").split(" ").filter((name) => name in NAMES));

  /** @param onChange is called when the order, or what is shown, is another one. */
  constructor(onChange) {
    if (!(this.#sort in SORTS) && !this.#parsed) this.#sort = "";
    const sort = document.getElementById("sort");
    sort.append(...Object.entries(SORTS).map(([value, text]) => new Option(text, value)));
    const choose = (value) => {
      this.#sort = value;
      remember("sort", value);
      this.#showSort(sort);
      onChange();
    };
    sort.addEventListener("change", () => choose(sort.value));
    for (const button of this.#table.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => choose(this.#next(button.dataset.sort)));
    }
    this.#wireFilter(onChange);
    this.#wireChoice();
    this.#showSort(sort);
  }

  get sorted() {
    return this.#sort !== "";
  }

  /** Whether the filter leaves this position. */
  matches({ tokenSymbol, tokenAddress, walletAddress }) {
    return [tokenSymbol.toLowerCase(), tokenAddress.toLowerCase(), walletAddress.toLowerCase()].some((text) =>
      text.includes(this.#filter),
    );
  }

  /** The positions' ids in the order that was chosen; what has no key comes last. */
  order(positions) {
    const [name, sign] = this.#parsed ?? [];
    if (!name) return positions.map(({ id }) => id);
    const keyed = positions.map((position) => [position.id, KEYS[name](position)]);
    keyed.sort(([, a], [, b]) => {
      if (a === null || b === null) return Number(a === null) - Number(b === null);
      return sign * (a instanceof Decimal ? a.compare(b) : a < b ? -1 : Number(a > b));
    });
    return keyed.map(([id]) => id);
  }

  get #parsed() {
    const name = this.#sort.slice(0, -1);
    return name in KEYS ? [name, this.#sort.endsWith("+") ? 1 : -1] : null;
  }

  /** A header's three states: the more telling direction, the other one, none. */
  #next(name) {
    const [first, second] = ["token", "stop"].includes(name) ? ["+", "-"] : ["-", "+"];
    if (this.#sort === name + first) return name + second;
    return this.#sort === name + second ? "" : name + first;
  }

  #showSort(select) {
    const [name, sign] = this.#parsed ?? [];
    for (const header of this.#table.querySelectorAll("th[data-column]")) {
      if (header.dataset.column === name) header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      else header.removeAttribute("aria-sort");
    }
    select.value = this.#sort in SORTS ? this.#sort : "";
  }

  #wireFilter(onChange) {
    const input = document.getElementById("filter");
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
      const typing = event.target.closest?.("input, select, textarea, dialog");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || !input.checkVisibility()) return;
      event.preventDefault();
      input.focus();
    });
  }

  #wireChoice() {
    const details = document.getElementById("columns");
    for (const [name, text] of Object.entries(NAMES)) {
      const box = make("input");
      Object.assign(box, { type: "checkbox", checked: !this.#hidden.has(name), value: name });
      box.addEventListener("change", () => {
        this.#hidden[box.checked ? "delete" : "add"](name);
        remember("hidden-columns", [...this.#hidden].join(" "));
        this.#showChoice();
      });
      const label = make("label");
      label.append(box, ` ${text}`);
      document.getElementById("column-choice").append(label);
    }
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      details.open = false;
      details.querySelector("summary").focus();
    });
    document.addEventListener("click", (event) => details.contains(event.target) || (details.open = false));
    this.#showChoice();
  }

  #showChoice() {
    const shown = Object.entries(WIDTHS).filter(([name]) => !this.#hidden.has(name));
    this.#table.style.setProperty("--columns", shown.map(([, width]) => width).join(" "));
    this.#table.dataset.hidden = [...this.#hidden].join(" ");
  }
}
