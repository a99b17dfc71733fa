"""Columns of the admin with a position's value: the same figures as on the socket and in the REST API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from django.contrib import admin
from msgspec import Raw

from positions.books.accounting import digits
from positions.books.live import live
from positions.books.snapshots import LivePosition, snapshot
from positions.models import Position
from positions.prices.last_quotes import newest_prices
from positions.prices.quotes import Prices

UNKNOWN = "—"


def value_rows(rows: Iterable[Position]) -> bool:
    """Set `row.live`, the position at the newest price, on each row: one MGET, and one query where it misses some.

    Return False without the cache.
    """
    rows = list(rows)
    held = {row.token_address for row in rows if row.status == Position.Status.OPEN}
    prices = newest_prices(held) if held else Prices({})
    for row in rows:
        quote = prices.quotes.get(row.token_address)
        row.live = live(snapshot(row), quote, sol_usd=prices.sol_usd)  # type: ignore[attr-defined]
    return not prices.errors


class ValueColumns:
    """Columns of a position's value. A list values all its rows at once; a position's own page does it here."""

    @staticmethod
    def _live(position: Position) -> LivePosition:
        if not hasattr(position, "live"):
            value_rows([position])
        return position.live  # type: ignore[attr-defined, no-any-return]

    @admin.display(description="amount")
    def amount(self, position: Position) -> str:
        return digits(position.remaining_amount)

    @admin.display(description="average cost (SOL)")
    def average_cost(self, position: Position) -> str:
        return digits(position.purchase_price)

    @admin.display(description="price (SOL)")
    def price(self, position: Position) -> str:
        if position.status != Position.Status.OPEN:
            return UNKNOWN
        worth = self._live(position)
        source = (
            "purchase price"
            if worth.price_timestamp is None
            else f"{worth.price_status}, {worth.price_timestamp}"
        )
        return f"{_number(worth.current_price)} ({source})"

    @admin.display(description="value (SOL)")
    def value_sol(self, position: Position) -> str:
        return _number(self._live(position).position_value_sol)

    @admin.display(description="exit value (SOL)")
    def exit_value_sol(self, position: Position) -> str:
        if position.status != Position.Status.OPEN:
            return UNKNOWN
        return _number(self._live(position).exit_value_sol)

    @admin.display(description="liquidity (USD)")
    def liquidity_usd(self, position: Position) -> str:
        return _number(self._live(position).liquidity_usd)

    @admin.display(description="value (USD)")
    def value_usd(self, position: Position) -> str:
        return _number(self._live(position).position_value_usd)

    @admin.display(description="P/L (SOL)")
    def profit_loss_sol(self, position: Position) -> str:
        return signed(_number(self._live(position).profit_loss_sol))

    @admin.display(description="P/L (%)")
    def profit_loss_percent(self, position: Position) -> str:
        return signed(_number(self._live(position).profit_loss_percent))


VALUE_COLUMNS = (
    "amount",
    "average_cost",
    "price",
    "value_sol",
    "exit_value_sol",
    "value_usd",
    "profit_loss_sol",
    "profit_loss_percent",
)


COMPUTED = (
    *("current_price", "current_price_usd", "price_status", "price_timestamp", "liquidity_usd"),
    *("position_value_sol", "position_value_usd", "exit_value_sol", "profit_loss_sol", "profit_loss_usd"),
)
"""Fields of a LivePosition that exports have, too."""


def computed(name: str) -> Callable[[Position], object]:
    """Return what reads a computed field off a row that `value_rows` has valued; None off a closed position's."""

    def read(position: Position) -> object:
        if position.status != Position.Status.OPEN:
            return None
        found = getattr(position.live, name)  # type: ignore[attr-defined]
        return Decimal(bytes(found).decode()) if isinstance(found, Raw) else found

    return read


def _number(raw: Any) -> str:
    return UNKNOWN if raw is None else bytes(raw).decode()


def signed(number: str) -> str:
    return number if number in {"0", UNKNOWN} or number.startswith("-") else f"+{number}"
