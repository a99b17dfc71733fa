"""How the day (UTC) began for some positions: the profit that they had at the first price of their token today.

The feed keeps that price; what was held at that moment is in the log of events. Today's change is the profit now, less
that one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db.models import Max, Q

from positions.books.accounting import ZERO, Holding, value
from positions.books.snapshots import holding
from positions.models import Position, PositionEvent
from positions.prices.last_quotes import known_prices
from positions.prices.openings import get_openings
from positions.prices.quotes import Prices, Quote


class Row(NamedTuple):
    """A position, as far as results and totals need it: these columns."""

    id: UUID
    agent_id: UUID
    event_seq: int
    """The number of the agent's last event, as of the statement that read the row."""
    mode: str
    """Of its wallet: live or simulated money."""
    status: str
    token_address: str
    token_symbol: str
    purchase_price: Decimal
    purchase_amount: Decimal
    remaining_amount: Decimal
    total_invested_sol: Decimal
    realized_profit_sol: Decimal
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.status == Position.Status.OPEN

    @property
    def holding(self) -> Holding:
        return Holding.of(self)


COLUMNS = (
    "pk",
    "agent_id",
    "agent__event_seq",
    "wallet__kind",
    *(name for name in Row._fields if name not in {"id", "agent_id", "event_seq", "mode"}),
)
"""Those of `Row`."""


@dataclass(frozen=True, slots=True)
class Start:
    """How the day of some positions began."""

    profit_sol: Decimal | None
    """All that they had earned by then; None if that is unknown."""
    since: datetime | None
    """The time of the latest of the first prices counted from; None without any."""


class Day:
    """The day, for positions that are open or were closed on it."""

    def __init__(self, rows: Iterable[Row], now: datetime, *, prices: Prices | None = None) -> None:
        """Read first prices and what was held then. `prices`: what is known of their tokens already.

        An HMGET and a query; without `prices`, an MGET and at most one query more. Raises valkey.Unavailable.
        """
        self._midnight = midnight(now)
        rows = [row for row in rows if self.concerns(row)]
        tokens = {row.token_address for row in rows}
        self._openings = get_openings(tokens, now.date())
        self._prices = prices or known_prices(tokens - self._openings.keys())
        changed = [row for row in rows if row.updated_at > self._began(row)]
        self._held = _held_then(changed, {row.id: self._began(row) for row in changed})

    def concerns(self, row: Row) -> bool:
        """Return whether the position is open or was closed today."""
        return row.is_open or (row.closed_at is not None and row.closed_at >= self._midnight)

    def start(self, rows: Iterable[Row]) -> Start:
        """Return how it began for these, all of them concerned."""
        total, is_known, counted_from, openings = ZERO, True, [], []
        for row in rows:
            quote = self._openings.get(row.token_address)
            if quote:
                openings.append(quote.as_of)
            if row.updated_at <= self._began(row):
                then = row.holding
            elif row.id in self._held:
                then = self._held[row.id] or row.holding  # closed by then, and edited since
            elif row.created_at > self._began(row):
                continue  # opened since: it had no profit at the start
            else:
                is_known = False  # its events of that time were pruned, or its token has migrated since
                continue
            if quote:
                counted_from.append(quote.as_of)
            total += _earned(then, quote or self._prices.quotes.get(row.token_address))
        earliest = min(openings, default=None)
        return Start(total if is_known else None, max(counted_from, default=earliest))

    def _began(self, row: Row) -> datetime:
        quote = self._openings.get(row.token_address)
        return quote.as_of if quote else self._midnight


def midnight(now: datetime) -> datetime:
    """Return when the day (UTC) of that moment began."""
    return datetime.combine(now.date(), time.min, tzinfo=now.tzinfo)


def _held_then(rows: Collection[Row], moments: Mapping[UUID, datetime]) -> dict[UUID, Holding | None]:
    """Return what each position held at its moment, by its last event until then; None where it was closed.

    Left out where that was another token, before a migration: it cannot be valued at the price of this one.
    """
    if not rows:
        return {}
    tokens = {row.id: row.token_address for row in rows}
    by_moment: dict[datetime, list[UUID]] = {}
    for key, moment in moments.items():
        by_moment.setdefault(moment, []).append(key)
    until = Q()
    for moment, keys in by_moment.items():
        until |= Q(position_id__in=keys, created_at__lte=moment)
    of_agents = {row.agent_id for row in rows}
    events = PositionEvent.objects.filter(until, agent_id__in=of_agents).order_by()
    last = events.values("position_id").annotate(last=Max("seq")).values("last")
    # A number is one of each agent: of several events with one of these numbers, the last of its position counts.
    in_order = sorted(events.filter(seq__in=last), key=lambda event: event.seq)
    newest = {event.position_id: event for event in in_order}
    return {
        key: None if event.position is None else holding(event.position)
        for key, event in newest.items()
        if event.position is None or event.position["token_address"] == tokens[key]
    }


def _earned(held: Holding, quote: Quote | None) -> Decimal:
    """Return the profit at this price; without one, as everywhere, at the average cost."""
    price = quote.price if quote else held.purchase_price
    return value(held, price=price, sol_usd=None).profit_loss_sol
