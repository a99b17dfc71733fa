"""`manage.py import_trades`: book trades of the past from a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from positions.errors import PositionsError
from positions.management.progress import Progress
from positions.management.spool import Spool
from positions.models import Wallet
from positions.models.recording import lock_agents
from positions.services.import_rows import COLUMNS, REQUIRED, InvalidRow, read_row
from positions.services.importing import Imported, Problem, import_trades

SHOW_EVERY = 10_000
MOST_SHOWN = 100
"""Problems; the others are counted."""


class Command(BaseCommand):
    help = (
        "Book the trades of a CSV file, all of them or none. Those that are booked already are skipped. Without"
        " --commit, only report what would be booked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="CSV in UTF-8; its columns: docs/commands.md")
        parser.add_argument("--commit", action="store_true", help="write; without it, nothing is written")

    def handle(self, **options: Any) -> None:
        self._progress = Progress(self.stdout)
        path = Path(options["file"])
        with ExitStack() as stack:
            spool = stack.enter_context(Spool())
            repeated = self._read(path, spool)
            with transaction.atomic():
                result = self._book(spool, repeated)
                if not options["commit"]:
                    transaction.set_rollback(True)
        trades, positions = _count(result.booked, "trade"), _count(result.positions, "position")
        known = f"already booked: {result.known:,}"
        if options["commit"]:
            self.stdout.write(f"Booked {trades} in {positions}; {known}.")
        else:
            self.stdout.write(
                f"Would book {trades} in {positions}; {known}. Nothing was written; use --commit to write."
            )

    def _read(self, path: Path, spool: Spool) -> int:
        """Check every line and keep its row; return how many repeat an earlier line. Raises CommandError."""
        problems: list[Problem] = []
        repeated = count = 0
        try:
            for line, header, cells in _lines(path):
                count += 1
                if count % SHOW_EVERY == 0:
                    self._progress.show(f"{count:,} lines read")
                if len(cells) != len(header):
                    problems.append(Problem(line, f"{len(cells)} cells, but {len(header)} columns"))
                    continue
                try:
                    repeated += not spool.add(read_row(line, dict(zip(header, cells, strict=True))))
                except InvalidRow as error:
                    problems += [Problem(line, problem) for problem in error.problems]
                except PositionsError as error:
                    problems.append(Problem(line, error.message))
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{path} is not UTF-8 (byte {error.start}).") from error
        self._progress.end()
        self._refuse(problems)
        return repeated

    def _book(self, spool: Spool, repeated: int) -> Imported:
        """Book the rows, wallet by wallet and token by token. Raises CommandError; then the transaction rolls back."""
        wallets = Wallet.objects.in_bulk(spool.wallets())
        lock_agents({wallet.agent_id for wallet in wallets.values()}, using="default")
        total, shown = Imported(known=repeated), 0
        for address, token, rows in spool.tokens():
            if address not in wallets:
                total.problems.append(Problem(rows[0].line, f"wallet: there is no wallet {address}"))
                continue
            result = import_trades(wallets[address], token, rows)
            total.booked += result.booked
            total.known += result.known
            total.positions += result.positions
            total.problems += result.problems
            if (total.booked + total.known) // SHOW_EVERY > shown:
                shown = (total.booked + total.known) // SHOW_EVERY
                self._progress.show(f"{total.booked + total.known:,} rows done")
        self._progress.end()
        self._refuse(total.problems)
        return total

    def _refuse(self, problems: list[Problem]) -> None:
        if not problems:
            return
        for problem in sorted(problems)[:MOST_SHOWN]:
            self.stderr.write(f"line {problem.line}: {problem.message}")
        more = len(problems) - MOST_SHOWN
        if more > 0:
            self.stderr.write(f"and {more:,} more")
        noun = "problem" if len(problems) == 1 else "problems"
        raise CommandError(f"{len(problems):,} {noun}: nothing was booked.")


def _lines(path: Path) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield each line's number, its columns and cells. Raises CommandError where the file is no such CSV."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            _check_header(header)
            for cells in reader:
                if not cells:
                    continue
                yield reader.line_num, header, cells
        except csv.Error as error:
            raise CommandError(f"line {reader.line_num}: {error}.") from error


def _check_header(header: list[str]) -> None:
    problems = []
    if missing := [name for name in REQUIRED if name not in header]:
        problems.append(f"missing: {', '.join(missing)}")
    if unknown := [name for name in header if name not in COLUMNS]:
        problems.append(f"unknown: {', '.join(map(repr, unknown))}")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        problems.append(f"twice: {', '.join(twice)}")
    if problems:
        raise CommandError(f"line 1: the columns are not those of trades ({'; '.join(problems)}).")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
