"""What this app tells others: the signals that their code may connect to (docs/building-on-it.md)."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after the commit that made them, with `events`: a list of PositionEvent, in order. In a rolled-back
# transaction there is nothing to send. Receivers run in the writer's thread, and none may fail the write.
position_events_committed = Signal()
