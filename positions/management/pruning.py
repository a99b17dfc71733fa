"""What the commands that prune a table share: rows older than an age, removed in batches."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from positions.management import output
from positions.management.ages import LONGEST, parse_age
from positions.management.progress import Progress
from positions.models import PositionEvent, StoredAnswer

LARGEST_BATCH = 50_000
"""Its keys are parameters of one statement: PostgreSQL takes 65,535 at most."""


class PruneCommand(output.Command):
    """Removes rows of `model` by their `created_at`. Without a `default_age`, --older-than is required."""

    is_unattended = True
    model: type[PositionEvent] | type[StoredAnswer]
    noun: str
    default_age: str | None = None

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            required=self.default_age is None,
            default=self.default_age,
            metavar="AGE",
            help="such as 30d, 12h or 90m" + (f" ({self.default_age})" if self.default_age else ""),
        )
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
        rows = self.model._default_manager.all()
        old = rows.filter(created_at__lt=until).order_by()
        total, removed = old.count(), 0
        progress = Progress(self.stdout)
        while keys := list(old.values_list("pk", flat=True)[: options["batch"]]):
            # One transaction a batch: writers and readers of the table never wait for the whole.
            removed += rows.filter(pk__in=keys).delete()[0]
            progress.show(f"{removed:,} of {total:,} {self.noun} removed")
        progress.end()
        self.stdout.write(f"{removed:,} {self.noun} from before {until:%Y-%m-%d %H:%M} UTC removed.")
