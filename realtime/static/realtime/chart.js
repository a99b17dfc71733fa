/**
 * A chart in SVG, with a crosshair that follows pointer and arrow keys. What a point shows is told beside the chart and
 * to screen readers, for which it is a slider over its points.
 *
 * @import { Drawing, Label, Layout } from "./chart-layout.js"
 */

import { layout, PARTS } from "./chart-layout.js";
import { find } from "./dom.js";
import { spelled } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const MOVES = new Map([
  ["ArrowLeft", -1],
  ["ArrowRight", 1],
  ["PageDown", -10],
  ["PageUp", 10],
  ["Home", -Infinity],
  ["End", Infinity],
]);

export class Chart {
  #plot;
  #svg;
  #onPoint;
  /** @type {Record<string, SVGPathElement>} */
  #paths = {};
  #levels = svg("g", "levels");
  #labels = svg("g", "labels");
  #cross = svg("path", "cross");
  #dot = svg("circle", "dot");
  /** @type {Drawing | null} */
  #drawing = null;
  /** @type {(index: number) => string} */
  #textOf = () => "";
  /** @type {Layout | null} */
  #layout = null;
  #brush = document.createElement("canvas").getContext("2d");
  #family;
  /** @type {number | null} when the point is that is read; null for the newest */
  #at = null;

  /**
   * @param {HTMLElement} plot
   * @param {(text: string) => void} onPoint is called with what the point shows that is read.
   */
  constructor(plot, onPoint) {
    this.#plot = plot;
    this.#svg = find(plot, "svg", SVGElement);
    this.#onPoint = onPoint;
    for (const name of PARTS) this.#paths[name] = svg("path", name);
    this.#family = getComputedStyle(plot).fontFamily;
    this.#dot.setAttribute("r", "3.5");
    this.#svg.replaceChildren(...Object.values(this.#paths), this.#levels, this.#labels, this.#cross, this.#dot);
    new ResizeObserver(() => this.#draw()).observe(plot);
    plot.addEventListener("pointermove", (event) => this.#point(event));
    plot.addEventListener("pointerdown", (event) => this.#point(event));
    plot.addEventListener("pointerleave", () => this.#read(null));
    plot.addEventListener("blur", () => this.#read(null));
    plot.addEventListener("keydown", (event) => this.#move(event));
  }

  /**
   * @param {Drawing} drawing
   * @param {(index: number) => string} textOf what a point shows, in words
   */
  draw(drawing, textOf) {
    this.#drawing = drawing;
    this.#textOf = textOf;
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#plot;
    if (!this.#drawing || width === 0 || height === 0) return;
    const found = layout(this.#drawing, width, height, (text, bold) => this.#widthOf(text, bold));
    this.#layout = found;
    put(this.#svg, "viewBox", `0 0 ${width} ${height}`);
    put(this.#svg, "data-direction", this.#drawing.direction ?? "");
    for (const [name, d] of Object.entries(found.paths)) put(this.#paths[name], "d", d);
    grow(this.#levels, "path", found.levels.length);
    found.levels.forEach(({ kind, d }, index) => {
      put(this.#levels.children[index], "d", d);
      put(this.#levels.children[index], "class", `level ${kind}`);
    });
    this.#write(found.labels);
    put(this.#plot, "aria-valuemax", String(Math.max(0, found.places.length - 1)));
    this.#read(this.#at);
  }

  /**
   * How wide the text is in the chart's own font, whichever that is here.
   *
   * @param {string} text
   */
  #widthOf(text, bold = false) {
    if (!this.#brush) return 7 * text.length;
    this.#brush.font = `${bold ? 600 : 400} 11px ${this.#family}`;
    return this.#brush.measureText(text).width;
  }

  /** @param {Label[]} labels */
  #write(labels) {
    grow(this.#labels, "text", labels.length);
    labels.forEach(({ x, y, text, name }, index) => {
      const label = this.#labels.children[index];
      put(label, "x", x.toFixed(1));
      put(label, "y", y.toFixed(1));
      put(label, "class", name);
      if (label.textContent !== text) label.textContent = text;
    });
  }

  /** @param {PointerEvent} event */
  #point({ clientX }) {
    const places = this.#layout?.places ?? [];
    if (!this.#drawing || places.length === 0) return;
    const x = clientX - this.#plot.getBoundingClientRect().left;
    let nearest = 0;
    places.forEach((place, index) => {
      if (Math.abs(place.x - x) < Math.abs(places[nearest].x - x)) nearest = index;
    });
    this.#read(this.#drawing.dots[nearest].at);
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const by = MOVES.get(event.key);
    const dots = this.#drawing?.dots ?? [];
    if (by === undefined || dots.length === 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.#read(dots[Math.max(0, Math.min(dots.length - 1, this.#index(dots) + by))].at);
  }

  /**
   * Which point is read: the newest, unless the user has chosen one; one that is gone by now is the next one.
   *
   * @param {Drawing["dots"]} dots
   */
  #index(dots) {
    const at = this.#at;
    const found = at === null ? -1 : dots.findIndex((dot) => dot.at >= at);
    return found < 0 ? dots.length - 1 : found;
  }

  /** @param {number | null} at */
  #read(at) {
    this.#at = at;
    const { dots = [], kind } = this.#drawing ?? {};
    if (!this.#layout || dots.length === 0) return;
    const index = this.#index(dots);
    const { x, y } = this.#layout.places[index];
    const text = this.#textOf(index);
    put(this.#plot, "aria-valuenow", String(index));
    put(this.#plot, "aria-valuetext", spelled(text));
    put(this.#cross, "d", at === null ? "" : `M${x.toFixed(1)} 0V${this.#layout.bottom}`);
    put(this.#dot, "cx", x.toFixed(1));
    put(this.#dot, "cy", y.toFixed(1));
    put(this.#dot, "visibility", at === null && kind !== "line" ? "hidden" : "visible");
    this.#onPoint(text);
  }
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {string} className
 */
function svg(tag, className) {
  const element = document.createElementNS(SVG, tag);
  if (className) element.setAttribute("class", className);
  return element;
}

/**
 * Let the group have this many elements.
 *
 * @param {SVGGElement} group
 * @param {"path" | "text"} tag
 * @param {number} count
 */
function grow(group, tag, count) {
  while (group.childElementCount < count) group.append(svg(tag, ""));
  while (group.childElementCount > count) group.lastElementChild?.remove();
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string} value
 */
function put(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
