"""`manage.py check_books`: whether every position matches its trades."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from positions.management import output
from positions.services.checking import check_books


class Command(output.Command):
    help = (
        "Recompute every position from its trades, and name each that differs: field, stored, recomputed."
        " Fails if one does, so that a nightly run reports it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reconstruct",
            action="store_true",
            help="add what is missing: trades from a position's events, or a balance. No figure changes.",
        )

    def handle(self, **options: Any) -> None:
        mend: bool = options["reconstruct"]
        positions = set()
        for position, field, stored, recomputed in check_books(mend=mend):
            positions.add(position.pk)
            self.stdout.write(
                f"{position.pk} {position.token_symbol} in {position.wallet_address}:"
                f" {field}: stored {stored}, recomputed {recomputed}"
            )
        count = "1 position" if len(positions) == 1 else f"{len(positions):,} positions"
        if not positions:
            self.stdout.write("Every position matches its trades.")
        elif mend:
            self.stdout.write(f"{count} reconstructed.")
        else:
            raise CommandError(f"{count} with differences. Use --reconstruct to add what is missing.")
