/**
 * A client of Nexgent: the positions of a trading agent, live and exact. README.md says how it is used.
 *
 * @typedef {import("./client.js").Options} Options
 * @typedef {import("./live-positions.js").Shown} Shown
 * @typedef {Wire.LivePosition} Position
 * @typedef {Wire.PriceUpdate} PriceUpdate
 * @typedef {Wire.PriceStatus} PriceStatus
 * @typedef {Wire.Digits} Digits
 * @typedef {Wire.Timestamp} Timestamp
 * @typedef {Client.State} State
 * @typedef {Client.Events} Events
 * @typedef {Client.TokenSource} TokenSource
 */

export { Nexgent } from "./client.js";
export { LivePositions } from "./live-positions.js";
export { Decimal } from "../../../realtime/static/realtime/decimal.js";
export { IncompatibleServer, LoginRequired } from "../../../realtime/static/realtime/errors.js";
