"""`manage.py import_engine`: take over what the original trading engine has stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from positions.management import output
from positions.management.engine.comparing import differences
from positions.management.engine.files import read_export
from positions.management.engine.making import Made, check_wallets, make, owners_of
from positions.management.engine.records import Problem
from positions.management.engine.rows import read_rows
from positions.management.engine.tables import POSITIONS
from positions.management.engine.trades import Trades, trades_of
from positions.models import Position
from positions.models.querysets import chunks
from positions.models.recording import lock_agents
from positions.services.import_known import Group
from positions.services.importing import Imported, import_trades

ROWS_AT_ONCE = 5_000
MOST_SHOWN = 100
"""Problems; the others are counted."""


class Command(output.Command):
    help = (
        "Take over agents, wallets, positions and swaps from an export of the original trading engine's database: all"
        " of it or nothing. What is here already is skipped. Without --commit, only report what would be made."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", metavar="FILE", help="JSON, or a folder or zip of CSV: docs/from-the-engine.md"
        )
        parser.add_argument("--owner", metavar="USER", help="whose agents these become; by default by email")
        parser.add_argument("--commit", action="store_true", help="write; without it, nothing is written")

    def handle(self, **options: Any) -> None:
        export = read_export(Path(options["file"]))
        for line in export.ignored:
            self.stdout.write(line)
        rows = read_rows(export)
        notes: list[Problem] = []
        problems = rows.problems
        check_wallets(rows, problems)
        owners = owners_of(rows, options["owner"], problems)
        trades = trades_of(rows, problems, notes)
        self._refuse(problems)
        with transaction.atomic():
            made = make(rows, owners, problems, notes)
            self._refuse(problems)
            result = self._book(trades, made)
            differing = list(
                differences(rows, made, _last_trades(trades), has_positions=POSITIONS.name in export.tables)
            )
            if not options["commit"]:
                transaction.set_rollback(True)
        self._say(made, trades, result, notes, differing, is_written=options["commit"])

    def _book(self, trades: Trades, made: Made) -> Imported:
        """Raises CommandError, and then the transaction rolls back."""
        lock_agents({wallet.agent_id for wallet in made.wallets.values()}, using="default")
        self._check_ids(trades, made)
        total, batch, waiting = Imported(), [], 0
        for (address, token), rows in trades.groups.items():
            batch.append(Group(made.wallets[address], token, rows))
            waiting += len(rows)
            if waiting >= ROWS_AT_ONCE:
                total.add(import_trades(batch, trades.details))
                batch, waiting = [], 0
        total.add(import_trades(batch, trades.details))
        self._refuse([Problem(*trades.origins[line], text) for line, text in total.problems])
        return total

    def _check_ids(self, trades: Trades, made: Made) -> None:
        ids = [detail.id for detail in trades.details.values()]
        ours = [wallet.pk for wallet in made.wallets.values()]
        for some in chunks(ids):
            others = Position.objects.filter(pk__in=some).exclude(wallet__in=ours)
            if other := others.order_by("pk").first():
                raise CommandError(
                    f"Position {other.pk} is here already, in another wallet: nothing was made."
                )

    def _refuse(self, problems: Sequence[Problem]) -> None:
        if not problems:
            return
        for problem in sorted(problems)[:MOST_SHOWN]:
            self.stderr.write(str(problem))
        if (more := len(problems) - MOST_SHOWN) > 0:
            self.stderr.write(f"and {more:,} more")
        raise CommandError(f"{_count(len(problems), 'problem')}: nothing was made.")

    def _say(
        self,
        made: Made,
        trades: Trades,
        result: Imported,
        notes: Iterable[Problem],
        differing: Sequence[Problem],
        *,
        is_written: bool,
    ) -> None:
        for what, count in sorted(trades.none.items()):
            self.stdout.write(f"{what}: {count:,}, which are no trades here")
        for note in [*sorted(notes), *sorted(differing)]:
            self.stdout.write(str(note))
        new = " and ".join(_count(count, noun) for noun, count in made.new.items())
        booked = f"{_count(result.booked, 'trade')} in {_count(result.positions, 'position')}"
        known = f"already booked: {result.known:,}; differences: {len(differing):,}"
        if is_written:
            self.stdout.write(f"Made {new}, and booked {booked}; {known}.")
        else:
            self.stdout.write(
                f"Would make {new}, and book {booked}; {known}. Nothing was written; use --commit to write."
            )


def _last_trades(trades: Trades) -> dict[str, str]:
    """Return the transaction id of each position's last trade, by the position's name in the export."""
    rows = (row for group in trades.groups.values() for row in group)
    return {row.position: row.transaction_id for row in rows if row.position and row.transaction_id}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
