"""`manage.py export_trades`: trades as CSV, with what sales cost and gained."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from positions.books.cells import cell
from positions.management.progress import Progress
from positions.models import Trade, Wallet
from positions.services.exporting import Gain, with_gains
from positions.services.import_rows import COLUMNS

SHOW_EVERY = 10_000
FIRST_YEAR = 2020
"""Of Solana."""
LAST_YEAR = 9998

CELLS: dict[str, Callable[[Trade, Gain], object]] = {
    "executed_at": lambda trade, gain: trade.executed_at.astimezone(UTC),
    "wallet": lambda trade, gain: trade.wallet_id,
    "token_address": lambda trade, gain: trade.position.token_address,
    "token_symbol": lambda trade, gain: trade.position.token_symbol,
    "side": lambda trade, gain: trade.side,
    "tokens": lambda trade, gain: trade.tokens,
    "sol": lambda trade, gain: trade.sol,
    "fee_sol": lambda trade, gain: trade.fee_sol,
    "sol_usd": lambda trade, gain: trade.sol_usd,
    "transaction_id": lambda trade, gain: trade.transaction_id,
    "position": lambda trade, gain: str(trade.position_id),
    "cost_sol": lambda trade, gain: gain.cost_sol,
    "gain_sol": lambda trade, gain: gain.gain_sol,
    "cost_usd": lambda trade, gain: gain.cost_usd,
    "proceeds_usd": lambda trade, gain: gain.proceeds_usd,
    "gain_usd": lambda trade, gain: gain.gain_usd,
}


class Command(BaseCommand):
    help = "Write trades as CSV, by wallet and time, with the cost and the gain of each sale (average cost)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", metavar="FILE", help="a new file; standard output without it")
        parser.add_argument(
            "--wallet", action="append", default=[], metavar="ADDRESS", help="only of this wallet; repeatable"
        )
        parser.add_argument("--year", type=int, help="only of this year (UTC)")

    def handle(self, **options: Any) -> None:
        trades, year = Trade.objects.all(), options["year"]
        if options["wallet"]:
            known = set(Wallet.objects.filter(pk__in=options["wallet"]).values_list("pk", flat=True))
            if unknown := sorted(set(options["wallet"]) - known):
                raise CommandError(f"There is no wallet {', '.join(unknown)}.")
            trades = trades.filter(wallet__in=known)
        since = until = None
        if year is not None:
            if not FIRST_YEAR <= year <= LAST_YEAR:
                raise CommandError(f"--year must be from {FIRST_YEAR} to {LAST_YEAR}; it is {year}.")
            since, until = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        rows = with_gains(trades, since=since, until=until)
        if options["output"] is None:
            _write(rows, self.stdout, None)
            return
        try:
            with Path(options["output"]).open("x", encoding="utf-8", newline="") as file:
                count = _write(rows, file, Progress(self.stdout))
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{count:,} trades written to {options['output']}.")


def _write(rows: Any, out: Any, progress: Progress | None) -> int:
    """Write the header and these rows; return how many."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    count = 0
    for trade, gain in rows:
        writer.writerow([cell(CELLS[name](trade, gain)) for name in COLUMNS])
        count += 1
        if count % SHOW_EVERY == 0:
            _flush(text, out)
            if progress:
                progress.show(f"{count:,} trades written")
    _flush(text, out)
    if progress:
        progress.end()
    return count


def _flush(text: io.StringIO, out: Any) -> None:
    if value := text.getvalue():
        out.write(value)
    text.seek(0)
    text.truncate()
