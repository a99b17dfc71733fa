"""The highest and lowest price of each token since any moment: what peakPrice and lowestPrice follow.

Pure. A position follows only the prices since it was opened, so one extreme for the whole time is not enough, and
keeping every price would be too much. A price that a later one has reached can no longer be the highest since any
moment, and is dropped: few are left, however many were added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from positions.books.quotes import Quote


class Extreme(NamedTuple):
    highest: Decimal
    lowest: Decimal


_Seen = list[tuple[datetime, Decimal]]


class Extremes:
    """Of the prices that were added and not forgotten."""

    def __init__(self) -> None:
        self._highs: dict[str, _Seen] = {}
        """By token, oldest first: the prices higher than all later ones. So each is lower than the one before."""
        self._lows: dict[str, _Seen] = {}

    def add(self, quotes: Iterable[Quote]) -> None:
        """Add a round's prices. Costs 0.5 µs a price."""
        highs, lows = self._highs, self._lows
        for quote in quotes:
            address, price = quote.token_address, quote.price
            newest = quote.as_of, price
            seen = highs.get(address)
            if seen is None:
                highs[address], lows[address] = [newest], [newest]
                continue
            while seen and seen[-1][1] <= price:
                seen.pop()
            seen.append(newest)
            seen = lows[address]
            while seen and seen[-1][1] >= price:
                seen.pop()
            seen.append(newest)

    def overall(self) -> Mapping[str, Extreme]:
        """Return each token's extremes."""
        return {
            address: Extreme(highs[0][1], self._lows[address][0][1]) for address, highs in self._highs.items()
        }

    def since(self, address: str, moment: datetime) -> Extreme | None:
        """Return the extremes of this token's prices from `moment` on; None where none came."""
        highest = _first(self._highs.get(address, ()), moment)
        lowest = _first(self._lows.get(address, ()), moment)
        return None if highest is None or lowest is None else Extreme(highest, lowest)

    def forget(self, before: datetime) -> None:
        """Forget the prices before that time."""
        for kept in (self._highs, self._lows):
            for address, seen in list(kept.items()):
                old = 0
                for at, _ in seen:
                    if at >= before:
                        break
                    old += 1
                if old == len(seen):
                    del kept[address]
                elif old:
                    del seen[:old]


def _first(seen: Iterable[tuple[datetime, Decimal]], moment: datetime) -> Decimal | None:
    return next((price for at, price in seen if at >= moment), None)
