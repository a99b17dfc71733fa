"""Durations on the command line: 30d, 12h, 90m."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {"d": "days", "h": "hours", "m": "minutes"}
LONGEST = timedelta(days=3650)
"""That a command accepts: a date 999,999 days ago is before the year 1."""


def parse_age(text: str) -> timedelta | None:
    """Return the duration, which is positive; None if the text is not one."""
    match = re.fullmatch(r"([0-9]{1,6})([dhm])", text)
    span = timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None
    return span or None
