/**
 * The page's addresses: `/` for all agents, `/agents/{id}`, `/agents/{id}/positions/{id}`. Each is a link that survives
 * a reload, Back, a second tab and a message to somebody else.
 */

import { at, within } from "./base.js";
import { around } from "./dom.js";

const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const PATH = new RegExp(`^/(?:agents/(${UUID})(?:/positions/(${UUID}))?/?)?$`, "i");

/**
 * What an address shows: all agents, one of them, or one of its positions.
 *
 * @typedef {{agentId: string | null, positionId: string | null}} Place
 */

/** @type {Place} */
export const OVERVIEW = Object.freeze({ agentId: null, positionId: null });

/**
 * @param {string | null} agentId
 * @param {string | null} [positionId]
 */
export function pathOf(agentId, positionId = null) {
  if (agentId === null) return at("/");
  return at(`/agents/${agentId}${positionId === null ? "" : `/positions/${positionId}`}`);
}

/**
 * What the path shows; null where it is none of the page's.
 *
 * @param {string} path
 * @returns {Place | null}
 */
export function placeOf(path) {
  const match = PATH.exec(within(path) ?? "");
  if (!match) return null;
  const [agentId = null, positionId = null] = match.slice(1).map((id) => id?.toLowerCase());
  return { agentId, positionId };
}

export class Navigation {
  #onMove;

  /** @param {(place: Place) => void} onMove is called with every new place, however the user came there. */
  constructor(onMove) {
    this.#onMove = onMove;
    addEventListener("popstate", () => onMove(this.place));
    document.addEventListener("click", (event) => this.#follow(event));
  }

  get place() {
    return placeOf(location.pathname) ?? OVERVIEW;
  }

  /**
   * Go to the place; Back returns to the one before.
   *
   * @param {string | null} agentId
   * @param {string | null} [positionId]
   */
  go(agentId, positionId = null) {
    const path = pathOf(agentId, positionId);
    if (path !== location.pathname) history.pushState({ from: location.pathname }, "", path);
    this.#onMove(this.place);
  }

  /**
   * Be at the place instead of this one: Back does not return here.
   *
   * @param {string | null} agentId
   */
  replace(agentId) {
    if (pathOf(agentId) !== location.pathname) history.replaceState(null, "", pathOf(agentId));
    this.#onMove(this.place);
  }

  /** Leave the position for its agent, as Back does where the user has come from there. */
  leavePosition() {
    const { agentId, positionId } = this.place;
    if (positionId === null) return;
    if (history.state?.from === pathOf(agentId)) history.back();
    else this.replace(agentId);
  }

  /**
   * Follow a link within the page; the browser does what else a click asks for, such as a new tab.
   *
   * @param {MouseEvent} event
   */
  #follow(event) {
    const link = around(event, "a[href]");
    const elsewhere = event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!(link instanceof HTMLAnchorElement) || elsewhere || event.defaultPrevented) return;
    const place = link.origin === location.origin && !link.target ? placeOf(link.pathname) : null;
    if (!place) return;
    event.preventDefault();
    this.go(place.agentId, place.positionId);
  }
}
