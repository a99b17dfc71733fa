"""Reads history over a span of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from positions.books.trades import Side
from positions.models import AgentValue, Candle, Position, PositionEvent, Trade

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which part of a series is asked for: from `since`, which is part of it, to before `until`."""

    interval: str
    seconds: int
    """The interval's length."""
    since: datetime | None
    until: datetime | None
    limit: int
    """The most rows at once: the first ones after `since`; without it, the last ones before `until`."""


def has_held(owner_id: Any, token_address: str) -> bool:
    """Return whether one of the user's agents holds the token, or has. One query, and one more where none has.

    Also a token that migrated to another mint: the position's events of before have the old one.
    """
    own = Position.objects.filter(agent__owner_id=owner_id)
    if own.filter(token_address=token_address).exists():
        return True
    migrations = Trade.objects.filter(position__agent__owner_id=owner_id, side=Side.MIGRATION)
    return PositionEvent.objects.filter(
        position_id__in=migrations.order_by().values("position_id"), position__token_address=token_address
    ).exists()


def candles(token_address: str, span: Span) -> tuple[list[Candle], bool]:
    """Return the token's candles, oldest first, and whether the span has more. One query.

    Where no live price came there is none: nothing is filled in.
    """
    rows = Candle.objects.filter(token__address=token_address, seconds=span.seconds)
    return _part(rows, "start", span)


def values(agent_id: UUID, span: Span, *, mode: str | None = None) -> tuple[list[AgentValue], bool]:
    """Return the agent's points, oldest first, and whether the span has more. One query.

    With a `mode` only of the positions in live, or in simulated wallets. Points that do not tell the two apart, as
    those of earlier releases, are left out, and those of the other mode alone.
    """
    rows = AgentValue.objects.filter(agent_id=agent_id)
    if mode is not None:
        rows = rows.filter(Q(mode=mode) | Q(simulated_flow_sol__isnull=False))
    found, more = _part(rows.filter(is_hourly=True) if span.seconds == 3600 else rows, "at", span)
    return found if mode is None else [point.only(mode) for point in found], more


def _part(rows: QuerySet[M], moment: str, span: Span) -> tuple[list[M], bool]:
    where: dict[str, Any] = {}
    if span.since is not None:
        where[f"{moment}__gte"] = span.since
    if span.until is not None:
        where[f"{moment}__lt"] = span.until
    forward = span.since is not None
    found = list(rows.filter(**where).order_by(moment if forward else f"-{moment}")[: span.limit + 1])
    part = found[: span.limit]
    return part if forward else part[::-1], len(found) > span.limit
