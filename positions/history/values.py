"""The value of each agent's positions, minute by minute, and their net flow of SOL.

Synchronous: the recorder calls `ValueStore.record` on a thread, for a few agents at a time.

A gain is what the value rose by less what went in meanwhile: so each point has the net flow until then. A purchase and
a sale count as what was paid and received. All of these together are the cost of what is held less all that was
realised, by the rules of `positions.books.accounting`, exact to half a lamport for each sale. A transfer, which those
rules book at cost, moves what it is worth: the difference is added, at the price of the first point that has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from uuid import UUID

from django.db import connection, transaction
from django.db.models import OuterRef, Subquery, Sum
from django.db.models.signals import post_delete

from positions.books.accounting import SOL, ZERO
from positions.history.market import MarketNow
from positions.history.pruning import delete_some
from positions.history.transfers import CLOCKS_DIFFER, Transfers, beyond_cost
from positions.models import Agent, AgentValue, Position

Held = tuple[UUID, str, Decimal, Decimal, Decimal]
"""An open position: these columns. (A hundred thousand a minute: an object for each would double what they cost.)"""
HELD_COLUMNS = ("agent_id", "token_address", "purchase_price", "remaining_amount", "realized_profit_sol")


@dataclass(slots=True)
class Known:
    """An agent as of its last point."""

    event_seq: int = 0
    at: datetime | None = None
    transfers_since: datetime | None = None
    """Which transfers are to be counted next: those booked since. None before the first point: they are at cost."""
    transfers_sol: Decimal = ZERO
    """What transfers moved beyond their cost: those in, less those out."""
    closed_sol: Decimal | None = None
    """Realised with closed positions; None where it has to be read."""


class ValueStore:
    """Knows the last point of every agent that it has recorded."""

    def __init__(self) -> None:
        self._known: dict[UUID, Known] = {}
        self._transfers = Transfers()
        self._market = MarketNow()
        self._pruned_to: UUID | None = None

    def record(self, now: datetime, *, after: UUID | None, agents: int) -> tuple[UUID | None, int]:
        """Write a point for each of the next agents that hold something, or whose positions have changed.

        Return the last of the agents, None at the end, and how many points were written. Nine statements and an MGET,
        fewer where nothing happened. Raises valkey.Unavailable: without prices, a value would be invented.
        """
        with _one_moment():
            rows = Agent.objects.order_by("pk").values_list("pk", "event_seq")
            seqs = dict((rows.filter(pk__gt=after) if after else rows)[:agents])
            self._learn(seqs.keys() - self._known.keys())
            held: dict[UUID, list[Held]] = {key: [] for key in seqs}
            open_positions = Position.objects.open().filter(agent_id__in=seqs).order_by()
            for row in open_positions.values_list(*HELD_COLUMNS):
                held[row[0]].append(row)
            changed = {key for key, seq in seqs.items() if self._known[key].event_seq != seq}
            active = [key for key in seqs if held[key] or key in changed]
            self._read_closed(
                [key for key in active if key in changed or self._known[key].closed_sol is None]
            )
            since = {key: at for key in changed if (at := self._known[key].transfers_since) is not None}
            transfers = self._transfers.new(since)
        tokens = {token for key in active for _, token, *_ in held[key]}
        self._market.look_up(tokens | {each.token_address for each in transfers}, now)
        beyond = beyond_cost(transfers, self._market.prices)
        points = [self._point(now, key, seqs[key], held[key], beyond.get(key, ZERO)) for key in active]
        AgentValue.objects.bulk_create(points, ignore_conflicts=True)
        self._transfers.have_counted(transfers, now)
        for point in points:
            known = self._known[point.agent_id]
            known.event_seq, known.at = point.event_seq, point.at
            known.transfers_since = max(known.transfers_since or now, now - CLOCKS_DIFFER)
            known.transfers_sol += beyond.get(point.agent_id, ZERO)
        return next(reversed(seqs)) if len(seqs) == agents else None, len(points)

    def prune(self, *, fine_before: datetime, before: datetime, agents: int, limit: int) -> int:
        """Delete up to `limit` old points of the next agents; return how many. Repeated calls go through all agents."""
        rows = Agent.objects.order_by("pk").values_list("pk", flat=True)
        ids = list((rows.filter(pk__gt=self._pruned_to) if self._pruned_to else rows)[:agents])
        points = AgentValue.objects.filter(agent_id__in=ids)
        deleted = delete_some(points.filter(at__lt=fine_before, is_hourly=False), limit=limit)
        deleted += delete_some(points.filter(at__lt=before), limit=limit - deleted)
        if deleted < limit:
            self._pruned_to = ids[-1] if len(ids) == agents else None
        return deleted

    def _learn(self, new: Collection[UUID]) -> None:
        """Read the last points of these agents."""
        self._known.update((key, Known()) for key in new)
        points = AgentValue.objects.filter(agent_id=OuterRef("pk")).order_by("-at")
        last = Agent.objects.filter(pk__in=new).annotate(last=Subquery(points.values("at")[:1]))
        keys = [key for key in last.values_list("pk", "last") if key[1] is not None]
        for point in AgentValue.objects.filter(pk__in=keys):
            at_cost = point.invested_sol - point.realized_sol
            # The last process may have counted any of its time.
            self._known[point.agent_id] = Known(
                point.event_seq, point.at, transfers_since=point.at, transfers_sol=point.flow_sol - at_cost
            )

    def _read_closed(self, agents: Collection[UUID]) -> None:
        """Read what these agents have realised with closed positions."""
        closed = Position.objects.filter(agent_id__in=agents, status=Position.Status.CLOSED).order_by()
        profit = "realized_profit_sol"
        if connection.vendor == "sqlite":  # its SUM would add floats (docs/adr/0003)
            sums = closed.values_list("agent_id", profit).iterator()
        else:
            sums = (
                closed.values("agent_id")
                .annotate(total=Sum(profit))
                .values_list("agent_id", "total")
                .iterator()
            )
        for key in agents:
            self._known[key].closed_sol = ZERO
        for key, profit_sol in sums:
            known = self._known[key]
            known.closed_sol = (known.closed_sol or ZERO) + profit_sol

    def _point(
        self, now: datetime, agent_id: UUID, event_seq: int, held: list[Held], beyond_cost_sol: Decimal
    ) -> AgentValue:
        known, not_live = self._known[agent_id], 0
        prices, live = self._market.prices, self._market.live
        worth = cost = ZERO
        realized = known.closed_sol or ZERO
        with localcontext(prec=80):
            for _, token, purchase_price, amount, realized_sol in held:
                not_live += token not in live
                price = prices[token]
                worth += (purchase_price if price is None else price) * amount
                cost += purchase_price * amount
                realized += realized_sol
            invested = cost.quantize(SOL)
            return AgentValue(
                agent_id=agent_id,
                at=now,
                is_hourly=known.at is None or _hour(known.at) != _hour(now),
                value_sol=worth.quantize(SOL),
                sol_usd=self._market.sol_usd,
                invested_sol=invested,
                realized_sol=realized,
                flow_sol=invested - realized + known.transfers_sol + beyond_cost_sol,
                positions=len(held),
                not_live=not_live,
                event_seq=event_seq,
            )


@contextmanager
def _one_moment() -> Iterator[None]:
    """Read everything as of one moment: a sale between two statements would be a loss, or a gain."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def connect() -> None:
    """Delete an agent's points with the agent from now on."""
    post_delete.connect(_delete_points, sender=Agent)


def _delete_points(sender: object, instance: Agent, using: str, **kwargs: object) -> None:
    points = AgentValue.objects.using(using).filter(agent_id=instance.pk)
    points._raw_delete(using)
