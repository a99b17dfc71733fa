/**
 * What goes wrong in a way that trying again does not help.
 */

/** What `token` rejects with where only the user can help. */
export class LoginRequired extends Error {}

/** What `token` rejects with where the server is of a release that this client cannot talk to. */
export class IncompatibleServer extends Error {}

/**
 * Throw TypeError with this sentence, for a mistake in the program, unless the condition is met.
 *
 * @param {boolean} isMet
 * @param {string} sentence
 * @returns {asserts isMet}
 */
export function demand(isMet, sentence) {
  if (!isMet) throw new TypeError(sentence);
}
