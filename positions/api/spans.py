"""The parameters of a list over time: `interval`, `from`, `to`, `limit`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from positions.api.filters import check_parameters, whole_number
from positions.api.moments import MOMENT, read_moment
from positions.history.reading import Span

DEFAULT_POINTS = 500
MAX_POINTS = 2_000
INTERVALS = {"1m": 60, "1h": 3600}
"""In seconds, as the query names them."""
DEFAULT_INTERVAL = "1m"


def span_of(request: Request, *, also: Collection[str] = ()) -> Span:
    """Return what the query asks for; `also` are further parameters that it may have. Raises ValidationError."""
    check_parameters(request, once={"interval", "from", "to", "limit", *also})
    interval = request.query_params.get("interval", DEFAULT_INTERVAL)
    if interval not in INTERVALS:
        raise ValidationError({"interval": [f"This must be one of {', '.join(INTERVALS)}."]})
    since, until = _moment(request, "from"), _moment(request, "to")
    if since is not None and until is not None and since >= until:
        raise ValidationError({"to": ["This must be later than from."]})
    limit = whole_number(request, "limit", default=DEFAULT_POINTS, minimum=1, maximum=MAX_POINTS)
    return Span(interval=interval, seconds=INTERVALS[interval], since=since, until=until, limit=limit)


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return read_moment(text)
    except ValueError:
        raise ValidationError({name: [f"This must be {MOMENT}."]}) from None
