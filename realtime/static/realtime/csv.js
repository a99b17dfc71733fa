/**
 * CSV that starts no formula in any spreadsheet: the rules of positions/books/cells.py, which the tests hold both to.
 * Pure.
 */

const QUOTES = "\"'\u201c\u201d";
const ENDS = ",;|\\t\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029";
const INVISIBLE =
  "\\xad\\u061c\\u180e\\u1680\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff\\ufff9-\\ufffb";
const STARTS =
  "=+@\\-\\u2212\\uff1d\\uff0b\\uff0d\\uff20\\ufe62\\ufe63\\ufe66\\ufe6b\\u207a-\\u207c\\u208a-\\u208c\\ufb29";
const UNSEEN = `${QUOTES}\\x00-\\x20\\x7f-\\xa0${INVISIBLE}`;
const FORMULA = `(?=[${UNSEEN}]*[${STARTS}]|['\\t\\r])`;
const AT_START = new RegExp(`^${FORMULA}`);
const AFTER_END = new RegExp(`([${ENDS}])${FORMULA}`, "g");
const NUMBER = /^-?\d+(\.\d+)?$/;

/**
 * A cell: "" for null, numbers in plain digits, and text that is none of a formula.
 *
 * @param {string | number | null | undefined} value
 */
export function cell(value) {
  if (value === null || value === undefined) return "";
  const text = String(value);
  if (NUMBER.test(text)) return text;
  return (AT_START.test(text) ? "'" : "") + text.replace(AFTER_END, "$1'");
}

/**
 * A file: a column for each name and function.
 *
 * @template T
 * @param {Record<string, (row: T) => string | number | null | undefined>} columns
 * @param {T[]} rows
 */
export function csv(columns, rows) {
  const lines = [Object.keys(columns), ...rows.map((row) => Object.values(columns).map((of) => cell(of(row))))];
  return lines.map((cells) => `${cells.map(quoted).join(",")}\r\n`).join("");
}

/** @param {string} text */
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
