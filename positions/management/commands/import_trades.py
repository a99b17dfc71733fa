"""`manage.py import_trades`: book trades of the past from a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from positions.errors import PositionsError
from positions.management import output
from positions.management.owners import add_owner_option, by_address, wallets_of
from positions.management.progress import Progress
from positions.management.spool import Spool
from positions.models.recording import lock_agents
from positions.services.import_known import Group, Problem
from positions.services.importing import Imported, import_trades
from positions.services.trade_lines import COLUMNS, REQUIRED, InvalidRow, read_row

SHOW_EVERY = 10_000
ROWS_AT_ONCE = 5_000
"""As many are booked with the same statements; more, where one token in one wallet has more."""
MOST_SHOWN = 100
"""Problems; the others are counted."""


class Command(output.Command):
    help = (
        "Book the trades of a CSV file, all of them or none. Those that are booked already are skipped. Without"
        " --commit, only report what would be booked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="CSV in UTF-8; its columns: docs/commands.md")
        parser.add_argument("--commit", action="store_true", help="write; without it, nothing is written")
        add_owner_option(parser)

    def handle(self, **options: Any) -> None:
        self._progress = Progress(self.stdout)
        path, self._wallets = Path(options["file"]), wallets_of(options["owner"])
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
        wallets = by_address(self._wallets, spool.wallets())
        lock_agents({wallet.agent_id for same in wallets.values() for wallet in same}, using="default")
        total, batch, waiting = Imported(known=repeated), [], 0
        for address, token, rows in spool.tokens():
            match wallets.get(address, []):
                case [wallet]:
                    batch.append(Group(wallet, token, rows))
                    waiting += len(rows)
                case []:
                    total.problems.append(Problem(rows[0].line, f"wallet: there is no wallet {address}"))
                case several:
                    problem = f"wallet: {len(several)} users have a wallet {address}; name one with --owner"
                    total.problems.append(Problem(rows[0].line, problem))
            if waiting >= ROWS_AT_ONCE:
                self._import(batch, total)
                batch, waiting = [], 0
        self._import(batch, total)
        self._progress.end()
        self._refuse(total.problems)
        return total

    def _import(self, batch: list[Group], total: Imported) -> None:
        before = total.booked + total.known
        total.add(import_trades(batch))
        done = total.booked + total.known
        if done // SHOW_EVERY > before // SHOW_EVERY:
            self._progress.show(f"{done:,} rows done")

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
