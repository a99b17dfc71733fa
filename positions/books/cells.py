"""Cells of CSV files, written so that a spreadsheet runs none of them, and read back as they were.

A file with commas is opened in languages where a semicolon or a tab separates cells, and where a quote that does not
follow such a separator protects nothing. So a cell may begin wherever a text has a separator or the end of a line.
"""

from __future__ import annotations

import re
from decimal import Decimal

from positions.books.numbers import digits

_QUOTE = "'"
"""Makes a spreadsheet show what follows as text."""
_ENDS = ",;|\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
"""What may end a cell or a line."""
# What may stand before a formula without being seen, by a spreadsheet or its user: quotes, white space, control
# characters, and the invisible ones of Unicode's categories Cf and Zs.
_QUOTES = "\"'\u201c\u201d"
_INVISIBLE = "\xad\u061c\u180e\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff9-\ufffb"
_UNSEEN = f"{_QUOTES}\x00-\x20\x7f-\xa0{_INVISIBLE}"
# = + - @ (OWASP, "CSV Injection"), the minus sign, and the forms of these that NFKC makes one of them, the wide ones of
# East Asia first.
_STARTS = "=+@\\-\u2212\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b\u207a-\u207c\u208a-\u208c\ufb29"
_FORMULA = re.compile(f"(^|[{_ENDS}])(?=[{_UNSEEN}]*[{_STARTS}]|[{_QUOTE}\t\r])")
_WRITTEN = re.compile(f"(^|[{_ENDS}]){_QUOTE}")


def cell(value: object) -> str:
    """Return the value as a cell: "" for None, numbers in plain digits, times in ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return digits(value)
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        value = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return _FORMULA.sub(rf"\1{_QUOTE}", value)


def text_of(written: str) -> str:
    """Return the text that `cell` has written."""
    return _WRITTEN.sub(r"\1", written)
