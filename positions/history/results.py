"""An agent's results: the profit of its closed positions, and today's change.

Today's change is the profit of all positions now, less their profit at the first price that their token had today
(UTC). The feed keeps that price; what was held at that moment is in the log of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from uuid import UUID

from django.db.models import Max, Q
from django.utils import timezone

from positions.books.accounting import ZERO, Holding, value
from positions.books.snapshots import holding
from positions.history.performance import Closed, Performance, performance
from positions.models import Agent, Position, PositionEvent
from positions.prices.cache import get_openings
from positions.prices.last_quotes import known_prices
from positions.prices.quotes import Quote

CLOSED_COLUMNS = (
    "pk",
    "token_symbol",
    "realized_profit_sol",
    "total_invested_sol",
    "created_at",
    "closed_at",
)
"""Those of `Closed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Sums of SOL. A client that has its open positions live adds their profit now:
    today's change = that + `closed_today_sol` - `start_sol`.
    """

    closed: Performance
    closed_today_sol: Decimal
    """The profit of those closed today."""
    start_sol: Decimal | None
    """The profit at the start of the day of all positions that are open or were closed today; None if unknown."""
    since: datetime | None
    """When the day began: the time of the latest of the first prices counted from; None without any."""


def results(agent: Agent) -> Results:
    """Return the agent's results. Four queries at most, an MGET and an HMGET. Raises valkey.Unavailable."""
    now = timezone.now()
    midnight = datetime.combine(now.date(), time.min, tzinfo=now.tzinfo)
    closed = Position.objects.filter(agent=agent, status=Position.Status.CLOSED).order_by()
    # Summed here: SQL on SQLite would add floats (docs/adr/0003).
    ended = [Closed(*row) for row in closed.values_list(*CLOSED_COLUMNS)]
    concerned = list(
        Position.objects.filter(agent=agent).filter(
            Q(status=Position.Status.OPEN) | Q(closed_at__gte=midnight)
        )
    )
    openings = get_openings({position.token_address for position in concerned}, now.date())
    prices = known_prices({position.token_address for position in concerned} - openings.keys())
    began = {
        position.pk: openings[position.token_address].as_of
        if position.token_address in openings
        else midnight
        for position in concerned
    }
    held = _held_then(agent, [each for each in concerned if each.updated_at > began[each.pk]], began)
    start, start_is_known = ZERO, True
    counted_from = []
    for position in concerned:
        if position.updated_at <= began[position.pk]:
            then = position.holding
        elif position.pk in held:
            then = held[position.pk] or position.holding  # closed by then, and edited since
        elif position.created_at > began[position.pk]:
            continue  # opened since: it had no profit at the start
        else:
            start_is_known = False  # its events of that time were pruned, or its token has migrated since
            continue
        quote = openings.get(position.token_address)
        if quote:
            counted_from.append(quote.as_of)
        start += _earned(then, quote or prices.quotes.get(position.token_address))
    closed_today = [each.realized_profit_sol for each in concerned if each.status == Position.Status.CLOSED]
    earliest = min((quote.as_of for quote in openings.values()), default=None)
    return Results(
        closed=performance(ended),
        closed_today_sol=sum(closed_today, ZERO),
        start_sol=start if start_is_known else None,
        since=max(counted_from, default=earliest),
    )


def _held_then(
    agent: Agent, positions: Iterable[Position], moments: Mapping[UUID, datetime]
) -> dict[UUID, Holding | None]:
    """Return what each position held at its moment, by its last event until then; None where it was closed.

    Left out where that was another token, before a migration: it cannot be valued at the price of this one.
    """
    positions = list(positions)
    tokens = {position.pk: position.token_address for position in positions}
    by_moment: dict[datetime, list[UUID]] = {}
    for position in positions:
        by_moment.setdefault(moments[position.pk], []).append(position.pk)
    if not by_moment:
        return {}
    until = Q()
    for moment, keys in by_moment.items():
        until |= Q(position_id__in=keys, created_at__lte=moment)
    events = PositionEvent.objects.filter(agent_id=agent.pk).order_by()
    last = events.filter(until).values("position_id").annotate(last=Max("seq")).values("last")
    return {
        event.position_id: None if event.position is None else holding(event.position)
        for event in events.filter(seq__in=last)
        if event.position is None or event.position["token_address"] == tokens[event.position_id]
    }


def _earned(held: Holding, quote: Quote | None) -> Decimal:
    """Return the profit at this price; without one, as everywhere, at the average cost."""
    price = quote.price if quote else held.purchase_price
    return value(held, price=price, sol_usd=None).profit_loss_sol
