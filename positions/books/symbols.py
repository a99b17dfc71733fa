"""Names of tokens as their makers chose them, made harmless on input, so that they are harmless wherever
they are shown: on the page, in the admin, on a terminal, in CSV, and by clients.

On the chain a symbol is any text: padded with NULs, empty, an emoji of several code points, or made to look like
another token's with invisible characters or ones that turn the direction of the text around (Unicode TR 36, 2.10.1).
"""

from __future__ import annotations

import unicodedata

from positions.errors import PositionsError

LONGEST = 32
"""Characters of a symbol; on the chain, Metaplex allows 10 bytes."""

ZERO_WIDTH_NON_JOINER, ZERO_WIDTH_JOINER = "\u200c", "\u200d"
_JOINERS = ZERO_WIDTH_NON_JOINER + ZERO_WIDTH_JOINER
"""Parts of emoji and of Persian and Indic words; between other letters they do nothing."""
_BLANK_LETTERS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Letters, marks and symbols by Unicode that fonts show as nothing."""


def symbol_of(text: str, address: str) -> str:
    """Return the symbol of the token with this address: its short address where it has none.

    Raises PositionsError where it is too long.
    """
    symbol = harmless(text) or short_address(address)
    if len(symbol) > LONGEST:
        raise PositionsError(
            f"token_symbol must have at most {LONGEST} characters; it has {len(symbol)}", field="token_symbol"
        )
    return symbol


def harmless(text: str) -> str:
    """Return the text without invisible characters (control, format, blank); one space for other whitespace.

    Of the format characters, joiners stay, inside the text. Nothing is left of a text in which nothing is seen.
    """
    if text.isascii() and text.isprintable() and " " not in text:
        return text  # nearly all of them
    kept = "".join(" " if char.isspace() else char for char in text if char.isspace() or _is_seen(char))
    kept = " ".join(kept.split()).strip(_JOINERS + " ")
    return kept if any(unicodedata.category(char) not in {"Mn", "Me", "Cf"} for char in kept) else ""


def short_address(address: str) -> str:
    """Return an address as people compare it, as the page does: `DezX…B263`."""
    return f"{address[:4]}…{address[-4:]}" if len(address) > 12 else address


def _is_seen(char: str) -> bool:
    if char in _BLANK_LETTERS:
        return False
    # Cc: control, Cf: format (bidi, joiners, tags), Cs: half a surrogate pair, which is no text.
    return char in _JOINERS or unicodedata.category(char) not in {"Cc", "Cf", "Cs"}
