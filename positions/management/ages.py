"""Spans of time as people type them: 30d, 12h, 90m."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def parse_age(text: str) -> timedelta | None:
    """Return the span, more than none; None where the text is no such."""
    match = re.fullmatch(r"([0-9]{1,6})([dhm])", text)
    span = timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None
    return span or None
