"""How well an agent trades, by the positions that it has closed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import NamedTuple
from uuid import UUID

from positions.books.accounting import PERCENT, ZERO


class Closed(NamedTuple):
    """A closed position."""

    id: UUID
    token_symbol: str
    profit_sol: Decimal
    invested_sol: Decimal
    opened_at: datetime
    closed_at: datetime

    @property
    def return_percent(self) -> Decimal | None:
        """The profit in percent of what was spent; None where nothing was: an airdrop."""
        if not self.invested_sol:
            return None
        with localcontext(prec=50):
            return (self.profit_sol / self.invested_sol * 100).quantize(PERCENT)


@dataclass(slots=True)
class Day:
    """The total profit of the positions that were closed on one day (UTC), since each was opened."""

    day: date
    profit_sol: Decimal = ZERO
    closed_positions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """How an agent's closed positions performed. Averages are None without any."""

    closed_positions: int
    profit_sol: Decimal
    win_rate_percent: Decimal | None
    """How many of them ended with a profit."""
    average_return_percent: Decimal | None
    """The mean of their returns, each weighted equally."""
    average_holding_seconds: int | None
    best: Closed | None
    """The one with the highest profit, of several the first."""
    worst: Closed | None
    days: list[Day]
    """Those on which one was closed, oldest first."""


def performance(closed: Iterable[Closed]) -> Performance:
    """Return the figures of these positions."""
    positions = sorted(closed, key=lambda each: (each.closed_at, each.id))
    count = len(positions)
    wins = sum(each.profit_sol > 0 for each in positions)
    returns = [each.return_percent for each in positions]
    known = [each for each in returns if each is not None]
    seconds = sum((each.closed_at - each.opened_at).total_seconds() for each in positions)
    days: dict[date, Day] = {}
    for each in positions:
        day = each.closed_at.astimezone(UTC).date()
        entry = days.setdefault(day, Day(day))
        entry.profit_sol += each.profit_sol
        entry.closed_positions += 1
    with localcontext(prec=50):
        return Performance(
            closed_positions=count,
            profit_sol=sum((each.profit_sol for each in positions), ZERO),
            win_rate_percent=(Decimal(wins) / count * 100).quantize(PERCENT) if count else None,
            average_return_percent=(sum(known, ZERO) / len(known)).quantize(PERCENT) if known else None,
            average_holding_seconds=round(seconds / count) if count else None,
            best=max(positions, key=lambda each: each.profit_sol, default=None),
            worst=min(positions, key=lambda each: each.profit_sol, default=None),
            days=list(days.values()),
        )
