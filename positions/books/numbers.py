"""Numbers as text: parsed from clients' input, written in plain digits, and quoted in error messages."""

from __future__ import annotations

import json
import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation

from positions.errors import InvalidAmount

PATTERN = r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?"
"""What JSON takes for a number, and str() of a float gives; ASCII digits, nothing around them, no NaN."""
LONGEST = 64
_NUMBER = re.compile(PATTERN)
_SHORT = Context(prec=6, Emax=MAX_EMAX, Emin=MIN_EMIN)


def read_number(text: str, name: str) -> Decimal:
    """Return the number that `text` is, every digit of it. Raises InvalidAmount, which names it as `name`."""
    if len(text) > LONGEST:
        raise InvalidAmount(
            f"{name} must be a number of at most {LONGEST} characters; it has {len(text)}", field=name
        )
    if not _NUMBER.fullmatch(text):
        raise InvalidAmount(f"{name} must be a number, such as 0.25 or 1.2e-7, not {shown(text)}", field=name)
    try:
        return Decimal(text)
    except InvalidOperation:  # on 32-bit machines an exponent of nine digits is too large
        raise InvalidAmount(f"{name} is out of range: {shown(text)}", field=name) from None


def digits(number: Decimal) -> str:
    """Return the number in plain notation, without an exponent and without trailing zeros."""
    text = str(number)  # a third of the time of what follows; has an exponent where there are many zeros
    if "E" in text:
        text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def shown(value: object) -> str:
    """Return what a client sent, for an error message: short, whatever it is, and harmless in a terminal."""
    match value:
        case bool() | None:
            return json.dumps(value)
        case int():
            return shown(Decimal(value))
        case Decimal() if not value.is_finite() or abs(value.adjusted()) > 40 or len(str(value)) > 60:
            return str(_SHORT.plus(value)) if value.is_finite() else str(value)
        case Decimal():
            return digits(value)
        case str():
            return json.dumps(value if len(value) <= 40 else f"{value[:40]}…")
    return f"a {type(value).__name__}"
