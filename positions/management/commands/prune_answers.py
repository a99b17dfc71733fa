"""`manage.py prune_answers`: remove answers that were kept for repeats."""

from __future__ import annotations

from positions.management.pruning import PruneCommand
from positions.models import StoredAnswer


class Command(PruneCommand):
    help = (
        "Remove the answers to writes with an Idempotency-Key that are older than a given age, in batches. The same"
        " request, repeated after that, is booked again, unless it has a transactionId."
    )
    model = StoredAnswer
    noun = "answers"
    default_age = "365d"
