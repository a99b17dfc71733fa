"""Cells of CSV files, written so that a spreadsheet runs none of them, and read back as they were."""

from __future__ import annotations

from decimal import Decimal

from positions.books.numbers import digits

# What a spreadsheet would run as a formula. Names and symbols are untrusted (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTE = "'"
"""Makes a spreadsheet show what follows as text."""


def cell(value: object) -> str:
    """Return the value as a cell: "" for None, numbers in plain digits, times in ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return digits(value)
    if not isinstance(value, str):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    return _QUOTE + value if value.startswith((*_FORMULA, _QUOTE)) else value


def text_of(written: str) -> str:
    """Return the text that `cell` has written."""
    return written.removeprefix(_QUOTE)
