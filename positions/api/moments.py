"""Dates and times as clients write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MOMENT = "a date and time with an offset, such as 2026-01-31T12:00:00Z"
# RFC 3339, section 5.6: what OpenAPI calls a date-time. datetime.fromisoformat takes much more.
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def read_moment(text: str) -> datetime:
    """Return a date and time with an offset, in UTC. Raises ValueError."""
    try:
        if _DATE_TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:  # an offset takes it out of the calendar
        pass
    raise ValueError(f"This must be {MOMENT}.")
