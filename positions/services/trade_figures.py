"""The figures that a balance states, in a cell of CSV: a JSON object with those of `Books.figures`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from positions.books.accounting import SOL, SOL_LIMIT
from positions.books.amounts import AMOUNT, AMOUNT_LIMIT, EXACT, PRICE, PRICE_LIMIT
from positions.books.numbers import digits, read_number, shown
from positions.books.trades import FIGURES, Books, balance
from positions.errors import InvalidAmount, PositionsError

LONGEST = 1000
MOST_PURCHASES = 2**31 - 1
_STEPS_AND_LIMITS = {
    "purchase_price": (PRICE, PRICE_LIMIT),
    "purchase_amount": (AMOUNT, AMOUNT_LIMIT),
    "remaining_amount": (AMOUNT, AMOUNT_LIMIT),
    "total_invested_sol": (SOL, SOL_LIMIT),
    "realized_profit_sol": (SOL, SOL_LIMIT),
}


def written_figures(figures: Mapping[str, object] | None) -> str | None:
    return None if figures is None else json.dumps(figures)


def read_figures(text: str, name: str) -> Books:
    """Return the books that the text states. Raises PositionsError, or InvalidAmount."""
    try:
        found = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        found = None
    keys = [*FIGURES, "dca_count"]
    if not isinstance(found, dict) or found.keys() != set(keys):
        raise PositionsError(
            f"{name} must be a JSON object of at most {LONGEST} characters with {', '.join(keys)}, not {shown(text)}"
        )
    stated: dict[str, str | int] = {key: digits(_number(found[key], key, name)) for key in FIGURES}
    count = found["dca_count"]
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST_PURCHASES:
        raise PositionsError(
            f"{name}: dca_count must be a whole number from 0 to {MOST_PURCHASES}, not {shown(count)}"
        )
    return balance({**stated, "dca_count": count})


def _number(value: object, key: str, name: str) -> Decimal:
    if not isinstance(value, str):
        raise InvalidAmount(f"{name}: {key} must be a string of digits, not {shown(value)}", field=name)
    number = read_number(value, f"{name}: {key}")
    step, limit = _STEPS_AND_LIMITS[key]
    if number.copy_abs() >= limit or (number < 0 and key != "realized_profit_sol"):
        least = f"more than -{digits(limit)}" if key == "realized_profit_sol" else "0 or more"
        raise InvalidAmount(
            f"{name}: {key} must be {least} and less than {digits(limit)}, not {shown(number)}", field=name
        )
    if number != number.quantize(step, context=EXACT):
        decimals = -int(step.as_tuple().exponent)
        raise InvalidAmount(
            f"{name}: {key} must have at most {decimals} decimals, not {shown(number)}", field=name
        )
    return number
