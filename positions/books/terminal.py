"""Text that others chose, made harmless where a terminal shows it: symbols, names, paths, error messages."""

from __future__ import annotations

import re

# Control characters (C0 and C1: an escape sequence begins with ESC, or with U+009B alone), half surrogate pairs, and
# format characters that turn the direction of the text around or hide in it. Joiners stay: emoji have them.
_RAW = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str, *, keep: str = "\n\t") -> str:
    r"""Return the text with such characters as `\x1b` and `\u202e`, but for those in `keep`."""
    if text.isprintable():
        return text  # nearly all of them
    return _RAW.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable_json(text: str) -> str:
    """Return a JSON text with such characters escaped, as JSON does: a terminal may show it, too."""
    if text.isprintable():
        return text
    return _RAW.sub(lambda found: found[0] if found[0] in "\n\t\r" else _escaped_json(found[0]), text)


def _escaped_json(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
