"""All agents of a user at a glance: what each holds, what it has earned, and how today went.

Live and simulated money are never summed: each agent has totals for each mode of its wallets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, Sum
from django.utils import timezone

from positions.books.accounting import PERCENT, ZERO, Valuation, value
from positions.history.day import COLUMNS, Day, Row, Start, midnight
from positions.models import Agent, Mode, Position
from positions.prices.last_quotes import newest_prices
from positions.prices.quotes import Prices
from positions.valkey import Unavailable

READS = 3
"""How often at most, where something is closed between the two statements that have to agree."""


class Valued(NamedTuple):
    """An open position, and what it is worth."""

    row: Row
    worth: Valuation


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeTotals:
    """Sums of SOL over the positions in an agent's live, or in its simulated wallets."""

    mode: str
    positions: int
    not_live: int
    """Those without a live price: valued at their last price, or at cost if none was ever known."""
    value_sol: Decimal
    unrealized_sol: Decimal
    realized_sol: Decimal
    """With the positions that are open and with those that are closed."""
    invested_sol: Decimal
    """All that was ever invested."""
    profit_percent: Decimal
    """All profit, in percent of that."""
    today_sol: Decimal | None
    """Today's change of the profit; None if unknown."""
    since: datetime | None
    """From when on today counts."""
    best: Valued | None
    """The open position with the highest return."""
    worst: Valued | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOverview:
    agent: Agent
    modes: list[ModeTotals]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    agents: list[AgentOverview]
    sol_usd: Decimal | None
    at: datetime


class _Closed(NamedTuple):
    """Sums over the closed positions of one agent and mode."""

    positions: int = 0
    profit_sol: Decimal = ZERO
    invested_sol: Decimal = ZERO


def overview(owner_id: Any) -> Overview:
    """Return the user's agents and their totals. Five queries at most, an MGET and an HMGET.

    Without the price cache, the last prices of the database count, and today's change is unknown.
    """
    now = timezone.now()
    agents = list(Agent.objects.filter(owner_id=owner_id))
    rows, closed = _read(owner_id, now) if agents else ([], {})
    prices = newest_prices({row.token_address for row in rows})
    try:
        day: Day | None = Day(rows, now, prices=prices)
    except Unavailable:
        day = None
    by_mode: dict[tuple[UUID, str], list[Row]] = {}
    for row in rows:
        by_mode.setdefault((row.agent_id, row.mode), []).append(row)
    return Overview(
        agents=[
            AgentOverview(
                agent=agent,
                modes=[
                    _totals(mode, by_mode.get(key, []), closed.get(key, _Closed()), prices, day)
                    for mode in Mode.values
                    if (key := (agent.pk, mode)) in by_mode or key in closed
                ],
            )
            for agent in agents
        ],
        sol_usd=prices.sol_usd,
        at=now,
    )


def _read(owner_id: Any, now: datetime) -> tuple[list[Row], Mapping[tuple[UUID, str], _Closed]]:
    """Return what is open or was closed today, and the sums of all that is closed, as of one moment."""
    positions = Position.objects.filter(agent__owner_id=owner_id).order_by()
    current = positions.filter(Q(status=Position.Status.OPEN) | Q(closed_at__gte=midnight(now)))
    ended = positions.filter(status=Position.Status.CLOSED)
    for _ in range(READS):
        rows = [Row(*columns) for columns in current.values_list(*COLUMNS)]
        seqs = {row.agent_id: row.event_seq for row in rows}
        sums, seqs_of_sums = _sums(ended)
        if all(seqs.get(agent_id, seq) == seq for agent_id, seq in seqs_of_sums.items()):
            break
    return rows, sums


def _sums(ended: Any) -> tuple[dict[tuple[UUID, str], _Closed], dict[UUID, int]]:
    """Return the sums by agent and mode, and the number of each agent's last event then."""
    key = ("agent_id", "wallet__kind", "agent__event_seq")
    figures = ("realized_profit_sol", "total_invested_sol")
    if connection.vendor == "sqlite":  # its SUM would add floats (docs/adr/0003)
        groups = ((*row[:3], 1, *row[3:]) for row in ended.values_list(*key, *figures).iterator())
    else:
        grouped = ended.values(*key).annotate(
            count=Count("pk"), profit=Sum(figures[0]), spent=Sum(figures[1])
        )
        groups = grouped.values_list(*key, "count", "profit", "spent").iterator()
    sums: dict[tuple[UUID, str], _Closed] = {}
    seqs: dict[UUID, int] = {}
    for agent_id, mode, seq, count, profit, invested in groups:
        seqs[agent_id] = seq
        so_far = sums.get((agent_id, mode), _Closed())
        sums[agent_id, mode] = _Closed(
            so_far.positions + count, so_far.profit_sol + profit, so_far.invested_sol + invested
        )
    return sums, seqs


def _totals(mode: str, rows: Sequence[Row], closed: _Closed, prices: Prices, day: Day | None) -> ModeTotals:
    held = [_valued(row, prices) for row in rows if row.is_open]
    ranked = sorted(held, key=lambda each: (each.worth.profit_loss_percent, each.row.created_at))
    profit_now = _sum(each.worth.profit_loss_sol for each in held)
    realized_open = _sum(each.row.realized_profit_sol for each in held)
    profit = profit_now + closed.profit_sol
    invested = _sum(each.row.total_invested_sol for each in held) + closed.invested_sol
    start = day.start(rows) if day else Start(None, None)
    closed_today = _sum(row.realized_profit_sol for row in rows if not row.is_open)
    with localcontext(prec=80):
        percent = (profit / invested * 100 if invested else ZERO).quantize(PERCENT)
    return ModeTotals(
        mode=mode,
        positions=len(held),
        not_live=sum(not _is_live(each.row, prices) for each in held),
        value_sol=_sum(each.worth.position_value_sol for each in held),
        unrealized_sol=profit_now - realized_open,
        realized_sol=realized_open + closed.profit_sol,
        invested_sol=invested,
        profit_percent=percent,
        today_sol=_today(rows, profit_now + closed_today, start),
        since=start.since,
        best=ranked[-1] if ranked else None,
        worst=ranked[0] if ranked else None,
    )


def _today(rows: Sequence[Row], earned: Decimal, start: Start) -> Decimal | None:
    if not rows:
        return ZERO
    # Without a first price of the day there is nothing to count from.
    return None if start.profit_sol is None or start.since is None else earned - start.profit_sol


def _valued(row: Row, prices: Prices) -> Valued:
    quote = prices.quotes.get(row.token_address)
    price = quote.price if quote else row.purchase_price
    return Valued(row, value(row.holding, price=price, sol_usd=None))


def _is_live(row: Row, prices: Prices) -> bool:
    quote = prices.quotes.get(row.token_address)
    return quote is not None and quote.status == "live"


def _sum(figures: Iterable[Decimal]) -> Decimal:
    return sum(figures, ZERO)
