"""`manage.py prune_events`: remove old events from the log."""

from __future__ import annotations

from positions.management.pruning import PruneCommand
from positions.models import PositionEvent


class Command(PruneCommand):
    help = (
        "Remove events that are older than a given age, in batches. A client that resumes from before them gets"
        " a fresh initial_data."
    )
    model = PositionEvent
    noun = "events"
