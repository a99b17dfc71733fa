"""The figures on the admin's start page: open positions, connections, and the price feed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.utils import timezone

from positions.admin.values import UNKNOWN
from positions.models import Agent, Position, PositionEvent
from positions.prices.cache import FeedStatus, get_feed_status
from positions.prices.quotes import is_stale
from positions.valkey import Unavailable
from realtime.hub.presence import connection_count, process_count

register = template.Library()


@register.inclusion_tag("realtime/admin_figures.html")
def operations_figures() -> dict[str, Any]:
    """Three queries, and four calls to Redis or Valkey, whose figures are unknown while it is unavailable."""
    now = timezone.now()
    figures: list[tuple[str, object, str]] = [
        ("agents", Agent.objects.count(), "positions_agent"),
        ("open positions", Position.objects.open().count(), "positions_position"),
        (
            "events within the last hour",
            PositionEvent.objects.filter(created_at__gte=now - timedelta(hours=1)).count(),
            "positions_positionevent",
        ),
    ]
    sockets: object = UNKNOWN
    processes: object = UNKNOWN
    prices = "unknown: Redis or Valkey cannot be reached"
    problems: list[str] = []
    try:
        sockets, processes = connection_count(), process_count()
        status = get_feed_status()
        prices = _feed_line(status, now)
        problems = status.errors if status else []
    except Unavailable:
        pass
    return {
        "figures": figures,
        "sockets": sockets,
        "processes": processes,
        "prices": prices,
        "problems": problems,
    }


def _feed_line(status: FeedStatus | None, now: Any) -> str:
    if status is None:
        return "none: no broadcaster has run within the last day"
    source = f"{status.source} (made up)" if status.simulated else status.source
    seconds = max(0, round((now - status.updated_at).total_seconds()))
    turns = "" if status.asked is None else f" ({status.asked} had their turn)"
    line = f"{source}: {status.priced} of {status.tokens} tokens priced{turns} {seconds} s ago"
    if is_stale(status.updated_at, now):
        return f"{line}; rounds have stopped"
    return f"{line}; the source does not answer" if status.is_stale(now) else line
