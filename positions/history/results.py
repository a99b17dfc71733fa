"""An agent's results: the profit of its closed positions, and what today's change is counted from (`day`).

Live and simulated money are never summed by who counts with `modes`; the sums over both are what earlier releases had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.utils import timezone

from positions.books.accounting import ZERO
from positions.history.day import COLUMNS, Day, Row
from positions.history.performance import Closed, Performance, performance
from positions.models import Agent, Mode, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """Sums of SOL. A client that has its open positions live adds their profit now:
    today's change = that + `closed_sol` - `start_sol`.
    """

    date: date
    """The day, in UTC."""
    closed_sol: Decimal
    """The profit of those closed today."""
    start_sol: Decimal | None
    """The profit at the start of the day of all positions that are open or were closed today; None if unknown."""
    since: datetime | None
    """When the day began: the time of the latest of the first prices counted from; None without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeResults:
    """Of the positions in live, or in simulated wallets alone."""

    mode: str
    closed: Performance
    closed_invested_sol: Decimal
    """What was spent on those that are closed."""
    today: Today


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    closed: Performance
    today: Today
    modes: list[ModeResults]
    event_seq: int
    """The number of the agent's last event that they contain; they contain none after it."""


def results(agent: Agent) -> Results:
    """Return the agent's results. Three queries at most, an MGET and an HMGET. Raises valkey.Unavailable."""
    now = timezone.now()
    positions = Position.objects.filter(agent=agent).order_by()
    # All in one statement, with the number of the last event: what it contains is as of one moment. Summed here: SQL on
    # SQLite would add floats (docs/adr/0003).
    rows = [Row(*columns) for columns in positions.values_list(*COLUMNS)]
    day = Day(rows, now)
    by_mode = {mode: [row for row in rows if row.mode == mode] for mode in Mode.values}
    return Results(
        closed=performance(_closed(rows)),
        today=_today(rows, day, now),
        modes=[_of_mode(mode, some, day, now) for mode, some in by_mode.items() if some],
        # Without a row, no event has left anything to sum up.
        event_seq=rows[0].event_seq if rows else agent.event_seq,
    )


def _of_mode(mode: str, rows: Sequence[Row], day: Day, now: datetime) -> ModeResults:
    closed = [row for row in rows if not row.is_open]
    return ModeResults(
        mode=mode,
        closed=performance(_closed(closed)),
        closed_invested_sol=sum((row.total_invested_sol for row in closed), ZERO),
        today=_today(rows, day, now),
    )


def _today(rows: Sequence[Row], day: Day, now: datetime) -> Today:
    concerned = [row for row in rows if day.concerns(row)]
    start = day.start(concerned)
    return Today(
        date=now.date(),
        closed_sol=sum((row.realized_profit_sol for row in concerned if not row.is_open), ZERO),
        start_sol=start.profit_sol,
        since=start.since,
    )


def _closed(rows: Sequence[Row]) -> list[Closed]:
    return [
        Closed(
            row.id,
            row.token_symbol,
            row.realized_profit_sol,
            row.total_invested_sol,
            row.created_at,
            row.closed_at,
        )
        for row in rows
        if row.closed_at is not None
    ]
