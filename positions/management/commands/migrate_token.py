"""`manage.py migrate_token`: migrates all positions that hold a token to the mint that replaces it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError, CommandParser

from positions.books.accounting import digits
from positions.books.numbers import read_number
from positions.errors import PositionsError
from positions.management import output
from positions.models import Position
from positions.services import migrate_token


class Command(output.Command):
    help = "Migrate every open position that holds a token to another mint, another symbol, or both."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("token", metavar="TOKEN", help="the mint that positions hold")
        parser.add_argument("--mint", metavar="NEW", help="the mint that replaces it")
        parser.add_argument("--symbol", help="its symbol from now on")
        parser.add_argument(
            "--ratio", default="1", help="how many new tokens each old one became, 1 by default"
        )

    def handle(self, **options: Any) -> None:
        try:
            ratio = read_number(options["ratio"], "ratio")
        except PositionsError as error:
            raise CommandError(error.message) from error
        held = Position.objects.open().filter(token_address=options["token"]).order_by("created_at", "id")
        keys = list(held.values_list("pk", flat=True))
        if not keys:
            raise CommandError(f"No open position holds {options['token']}.")
        refused = 0
        for key in keys:
            try:
                self._migrate(key, options, ratio)
            except PositionsError as error:
                refused += 1
                self.stderr.write(f"Position {key} was not migrated: {error.message}.")
            except Position.DoesNotExist:
                pass  # deleted meanwhile
        if refused:
            raise CommandError(f"{refused} of {len(keys)} positions were not migrated.")

    def _migrate(self, key: Any, options: dict[str, Any], ratio: Decimal) -> None:
        """Each in a transaction of its own: one that is refused does not affect the others."""
        position = migrate_token(
            position_id=key, token_address=options["mint"], token_symbol=options["symbol"], ratio=ratio
        )
        self.stdout.write(f"{position}: {digits(position.remaining_amount)} {position.token_address}")
