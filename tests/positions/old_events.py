"""An agent's events exactly as the first release stored them: `stored_events.json` is never regenerated."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User

from positions.models import Agent, PositionEvent

OLD_EVENTS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("stored_events.json").read_text(encoding="utf-8")
)
"""Two positions: BONK, with all that can happen to one; WIF, opened with a stop loss and closed."""


def store(owner: User, rows: list[dict[str, Any]] = OLD_EVENTS) -> Agent:
    """Return an agent that has these events, and no position."""
    agent = Agent.objects.create(pk=rows[0]["agent_id"], owner=owner, name="old", event_seq=len(rows))
    PositionEvent.objects.bulk_create(
        PositionEvent(**{**row, "created_at": datetime.fromisoformat(row["created_at"])}) for row in rows
    )
    return agent
