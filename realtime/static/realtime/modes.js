/**
 * Live and simulated money, in words.
 */

/** @param {Wire.Mode | null} mode null where unknown */
export function modeText(mode) {
  if (mode === null) return "unknown";
  return mode === "live" ? "Live money" : "Simulated money";
}
