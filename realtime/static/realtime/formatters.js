/**
 * What writes numbers (Intl.NumberFormat), made once for each set of options: hundreds are written in a frame.
 *
 * @typedef {Intl.NumberFormatOptions} Options
 */

export const LOCALE = "en-US"; // the language of the page

/** @type {Map<string, Intl.NumberFormat>} by options, of which there are a few dozen sets */
const formatters = new Map();
/** @type {WeakMap<Options, Intl.NumberFormat>} likewise, by those that are the same object each time */
const formattersOf = new WeakMap();
/** @type {WeakMap<Options, WeakMap<Options, Options>>} */
const combinations = new WeakMap();

/**
 * These options, the second before the first: the same object each time, for the same two.
 *
 * @param {Options} base
 * @param {Options | undefined} options
 */
export function combined(base, options) {
  if (!options) return base;
  const all = combinations.get(base) ?? new WeakMap();
  combinations.set(base, all);
  const known = all.get(options);
  if (known) return known;
  const made = { ...base, ...options };
  all.set(options, made);
  return made;
}

/**
 * What writes numbers by these options.
 *
 * @param {Options} options
 */
export function formatter(options) {
  const same = formattersOf.get(options);
  if (same) return same;
  const key = Object.entries(options).join();
  const made = formatters.get(key) ?? new Intl.NumberFormat(LOCALE, { roundingMode: "halfEven", ...options });
  formatters.set(key, made);
  formattersOf.set(options, made);
  return made;
}
