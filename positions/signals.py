"""Signals that other apps may connect to (docs/building-on-it.md)."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after the commit, with `events`: a list of PositionEvent, in order; never for a transaction that is rolled back.
# Receivers run in the writer's thread; an error in one is logged and does not fail the write.
position_events_committed = Signal()
