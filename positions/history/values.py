"""The value of each agent's positions, minute by minute, and their net flow of SOL.

Synchronous: the recorder calls `ValueStore.record` on a thread, for a few agents at a time.

A gain is what the value rose by less what went in meanwhile: so each point has the net flow until then. A purchase and
a sale count as what was paid and received. All of these together are the cost of what is held less all that was
realised, by the rules of `positions.books.accounting`, exact to half a lamport for each sale. A transfer, which those
rules book at cost, moves what it is worth: the difference is added, at the price of the first point that has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import OuterRef, Subquery, Sum
from django.db.models.signals import post_delete

from positions.books.accounting import SOL, ZERO
from positions.history.market import MarketNow
from positions.history.pruning import delete_some
from positions.history.transfers import CLOCKS_DIFFER, Transfers, beyond_cost
from positions.models import Agent, AgentValue, Mode, Position
from positions.signals import for_each_class

Held = tuple[UUID, str, str, Decimal, Decimal, Decimal]
"""An open position: these columns. (A hundred thousand a minute: an object for each would double what they cost.)"""
HELD_COLUMNS = (
    "agent_id",
    "wallet__kind",
    "token_address",
    "purchase_price",
    "remaining_amount",
    "realized_profit_sol",
)


@dataclass(slots=True)
class Known:
    """An agent as of its last point."""

    event_seq: int = 0
    at: datetime | None = None
    transfers_since: datetime | None = None
    """Which transfers are to be counted next: those booked since. None before the first point: they are at cost."""
    transfers_sol: dict[str | None, Decimal] = field(default_factory=dict)
    """What transfers moved beyond their cost: those in, less those out. By mode; under None what is not told apart."""
    closed_sol: dict[str, Decimal] | None = None
    """Realised with closed positions, by mode; None where it has to be read."""


@dataclass(slots=True)
class Sums:
    """Of the positions in an agent's live, or in its simulated wallets."""

    worth: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO
    transfers: Decimal = ZERO
    positions: int = 0
    not_live: int = 0

    def figures(self) -> dict[str, Any]:
        """Return them by the names of an AgentValue's fields (FIGURES)."""
        invested = self.cost.quantize(SOL)
        return {
            "value_sol": self.worth.quantize(SOL),
            "invested_sol": invested,
            "realized_sol": self.realized,
            "flow_sol": invested - self.realized + self.transfers,
            "positions": self.positions,
            "not_live": self.not_live,
        }


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
        tokens = {token for key in active for _, _, token, *_ in held[key]}
        self._market.look_up(tokens | {each.token_address for each in transfers}, now)
        beyond = beyond_cost(transfers, self._market.prices)
        for (key, mode), beyond_sol in beyond.items():
            known = self._known[key]
            known.transfers_sol[mode] = known.transfers_sol.get(mode, ZERO) + beyond_sol
        points = [self._point(now, key, seqs[key], held[key]) for key in active]
        AgentValue.objects.bulk_create(points, ignore_conflicts=True)
        self._transfers.have_counted(transfers, now)
        for point in points:
            known = self._known[point.agent_id]
            known.event_seq, known.at = point.event_seq, point.at
            known.transfers_since = max(known.transfers_since or now, now - CLOCKS_DIFFER)
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
            beyond: dict[str | None, Decimal] = {
                point.mode: point.flow_sol - point.invested_sol + point.realized_sol
            }
            if point.simulated is not None:
                _, invested_sol, realized_sol, flow_sol, *_ = point.simulated
                simulated = flow_sol - invested_sol + realized_sol
                beyond = {Mode.LIVE: beyond[None] - simulated, Mode.SIMULATION: simulated}
            # The last process may have counted any of its time.
            self._known[point.agent_id] = Known(
                point.event_seq, point.at, transfers_since=point.at, transfers_sol=beyond
            )

    def _read_closed(self, agents: Collection[UUID]) -> None:
        """Read what these agents have realised with closed positions."""
        closed = Position.objects.filter(agent_id__in=agents, status=Position.Status.CLOSED).order_by()
        profit, by = "realized_profit_sol", ("agent_id", "wallet__kind")
        if connection.vendor == "sqlite":  # its SUM would add floats (docs/adr/0003)
            sums = closed.values_list(*by, profit).iterator()
        else:
            sums = closed.values(*by).annotate(total=Sum(profit)).values_list(*by, "total").iterator()
        found: dict[UUID, dict[str, Decimal]] = {key: {} for key in agents}
        for key, mode, profit_sol in sums:
            found[key][mode] = found[key].get(mode, ZERO) + profit_sol
        for key, by_mode in found.items():
            self._known[key].closed_sol = by_mode

    def _point(self, now: datetime, agent_id: UUID, event_seq: int, held: list[Held]) -> AgentValue:
        known = self._known[agent_id]
        prices, live = self._market.prices, self._market.live
        modes = {mode: Sums(realized=closed_sol) for mode, closed_sol in (known.closed_sol or {}).items()}
        with localcontext(prec=80):
            for _, mode, token, purchase_price, amount, realized_sol in held:
                sums = modes.get(mode) or modes.setdefault(mode, Sums())
                price = prices[token]
                sums.worth += (purchase_price if price is None else price) * amount
                sums.cost += purchase_price * amount
                sums.realized += realized_sol
                sums.positions += 1
                sums.not_live += token not in live
            simulated = modes.get(Mode.SIMULATION)
            if simulated:
                simulated.transfers = known.transfers_sol.get(Mode.SIMULATION, ZERO)
            total = _total(modes.values())
            total.transfers = sum(known.transfers_sol.values(), ZERO)
            point = AgentValue(
                agent_id=agent_id,
                at=now,
                is_hourly=known.at is None or _hour(known.at) != _hour(now),
                sol_usd=self._market.sol_usd,
                event_seq=event_seq,
                mode=next(iter(modes)) if len(modes) == 1 else None,
                **total.figures(),
            )
            if point.mode:
                known.transfers_sol = {point.mode: total.transfers}
            elif simulated:
                for name, figure in simulated.figures().items():
                    setattr(point, f"simulated_{name}", figure)
        return point


def _total(parts: Iterable[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        for each in fields(Sums):
            setattr(total, each.name, getattr(total, each.name) + getattr(part, each.name))
    return total


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
    for_each_class(Agent, lambda model: post_delete.connect(_delete_points, sender=model))


def _delete_points(sender: object, instance: Agent, using: str, **kwargs: object) -> None:
    points = AgentValue.objects.using(using).filter(agent_id=instance.id)
    points._raw_delete(using)
