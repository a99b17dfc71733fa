"""`manage.py prune_events`: remove old events from the log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from positions.management.ages import LONGEST, parse_age
from positions.models import PositionEvent

LARGEST_BATCH = 50_000
"""Its keys are parameters of one statement: PostgreSQL takes 65,535 at most."""


class Command(BaseCommand):
    help = (
        "Remove events that are older than a given age, in batches. A client that resumes from before them gets"
        " a fresh initial_data."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", required=True, metavar="AGE", help="such as 30d, 12h or 90m")
        parser.add_argument("--batch", type=int, default=5000, metavar="ROWS", help="rows at a time (5000)")

    def handle(self, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError(f"--batch must be at least 1; it is {options['batch']}.")
        if options["batch"] > LARGEST_BATCH:
            raise CommandError(f"--batch must be at most {LARGEST_BATCH}; it is {options['batch']}.")
        age = parse_age(options["older_than"])
        if age is None:
            raise CommandError(
                f"--older-than must be an age such as 30d, 12h or 90m; it is {options['older_than']!r}."
            )
        if age > LONGEST:
            raise CommandError(
                f"--older-than must be at most {LONGEST.days}d; it is {options['older_than']!r}."
            )
        until = timezone.now() - age
        old = PositionEvent.objects.filter(created_at__lt=until).order_by()
        total, removed = old.count(), 0
        while keys := list(old.values_list("pk", flat=True)[: options["batch"]]):
            # One transaction a batch: writers and readers of the log never wait for the whole.
            removed += PositionEvent.objects.filter(pk__in=keys).delete()[0]
            self._progress(f"{removed:,} of {total:,} events removed")
        if self.stdout.isatty():
            self.stdout.write("")
        self.stdout.write(f"{removed:,} events from before {until:%Y-%m-%d %H:%M} UTC removed.")

    def _progress(self, line: str) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r{line}", ending="")
            self.stdout.flush()
        else:
            self.stdout.write(line)
