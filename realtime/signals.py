"""From positions to sockets: committed events go out to whoever watches their agent."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from positions.events import position_events_committed
from positions.models import PositionEvent
from realtime.broadcast import publish_position_events


@receiver(position_events_committed)
def send_out(sender: object, events: list[PositionEvent], **kwargs: Any) -> None:
    publish_position_events(events)
