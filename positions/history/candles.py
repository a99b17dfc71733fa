"""Candles that are not written yet: the prices of all rounds since the last write, by token and minute.

No database, no clock. A candle is a merge of any number of parts, which may be written one by one: what is in the
database and what came since, before and after a restart, make one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from positions.books.quotes import Quote
from positions.models import Candle


@dataclass(slots=True)
class Part:
    """A token's prices over a period of time, in SOL: the first, highest, lowest and last."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    close_usd: Decimal | None

    @classmethod
    def of(cls, quote: Quote) -> Part:
        return cls(quote.price, quote.price, quote.price, quote.price, quote.price_usd)

    def add(self, quote: Quote) -> None:
        price = quote.price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close, self.close_usd = price, quote.price_usd

    def then(self, later: Part) -> Part:
        """Return both as one."""
        return Part(
            self.open,
            max(self.high, later.high),
            min(self.low, later.low),
            later.close,
            later.close_usd,
        )


Minutes = Mapping[datetime, Mapping[str, Part]]
"""By the start of the minute, then by token address."""


class Collector:
    """The parts that are not written yet."""

    def __init__(self) -> None:
        self._minutes: dict[datetime, dict[str, Part]] = {}

    def add(self, quotes: Iterable[Quote]) -> None:
        """Add a round's prices, each to the minute in which its source gave it. Costs 0.3 µs a price."""
        as_of, parts = None, dict[str, Part]()
        for quote in quotes:
            if quote.as_of is not as_of:  # most prices of a round have the same time
                as_of = quote.as_of
                start = as_of.astimezone(UTC).replace(second=0, microsecond=0)
                parts = self._minutes.setdefault(start, {})
            part = parts.get(quote.token_address)
            if part is None:
                parts[quote.token_address] = Part.of(quote)
            else:
                part.add(quote)

    def take(self) -> Minutes:
        """Return everything, and start over."""
        taken, self._minutes = self._minutes, {}
        return taken

    def give_back(self, minutes: Minutes, *, not_before: datetime) -> None:
        """Take back what could not be written, but for minutes too old to be kept in memory any longer."""
        for start, parts in minutes.items():
            if start < not_before:
                continue
            newer = self._minutes.setdefault(start, {})
            for address, part in parts.items():
                newer[address] = part.then(newer[address]) if address in newer else part

    @property
    def oldest(self) -> datetime | None:
        """The start of the first minute that is not written."""
        return min(self._minutes, default=None)


class Row(NamedTuple):
    """A candle, or a part of one, as it is written."""

    address: str
    seconds: int
    start: datetime
    part: Part


def slices(minutes: Minutes, *, size: int) -> Iterator[list[Row]]:
    """Yield a row for each token's minutes and hours, about `size` at a time. All of a token's rows come together.

    They are ordered by key: every writer locks rows in that order. Each slice is made when it is asked for: the rounds,
    which share the interpreter, never wait for all of them.
    """
    addresses = sorted(set().union(*minutes.values()))
    rows_of_a_token = len(minutes) + len({_hour(start) for start in minutes})
    tokens = max(1, size // max(1, rows_of_a_token))
    for first in range(0, len(addresses), tokens):
        yield _rows(minutes, addresses[first : first + tokens])


def _rows(minutes: Minutes, addresses: Collection[str]) -> list[Row]:
    hours: dict[tuple[str, datetime], Part] = {}
    found = []
    for start, parts in sorted(minutes.items()):
        full_hour = _hour(start)
        for address in addresses:
            part = parts.get(address)
            if part is None:
                continue
            found.append(Row(address, Candle.MINUTE, start, part))
            key = address, full_hour
            hours[key] = hours[key].then(part) if key in hours else part
    found += [Row(address, Candle.HOUR, start, part) for (address, start), part in hours.items()]
    return sorted(found, key=lambda row: row[:3])


def _hour(minute: datetime) -> datetime:
    return minute.replace(minute=0)
