"""`manage.py export_trades`: trades as CSV, with what sales cost and gained."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from positions.books.cells import cell
from positions.management import output
from positions.management.owners import add_owner_option, by_address, wallets_of
from positions.management.progress import Progress
from positions.models import Trade
from positions.services.exporting import Gain, with_gains
from positions.services.trade_figures import written_figures
from positions.services.trade_lines import COLUMNS

SHOW_EVERY = 10_000
FIRST_YEAR = 2020
"""Of Solana."""
LAST_YEAR = 9998

CELLS: dict[str, Callable[[Trade, Gain], object]] = {
    "executed_at": lambda trade, gain: trade.executed_at.astimezone(UTC),
    "wallet": lambda trade, gain: trade.wallet_address,
    "token_address": lambda trade, gain: trade.position.token_address,
    "token_symbol": lambda trade, gain: trade.position.token_symbol,
    "side": lambda trade, gain: trade.side,
    "tokens": lambda trade, gain: trade.tokens,
    "sol": lambda trade, gain: trade.sol,
    "fee_sol": lambda trade, gain: trade.fee_sol,
    "sol_usd": lambda trade, gain: trade.sol_usd,
    "transaction_id": lambda trade, gain: trade.transaction_id,
    "position": lambda trade, gain: str(trade.position_id),
    "figures": lambda trade, gain: written_figures(trade.figures),
    "note": lambda trade, gain: trade.note,
    "cost_sol": lambda trade, gain: gain.cost_sol,
    "gain_sol": lambda trade, gain: gain.gain_sol,
    "cost_usd": lambda trade, gain: gain.cost_usd,
    "proceeds_usd": lambda trade, gain: gain.proceeds_usd,
    "gain_usd": lambda trade, gain: gain.gain_usd,
}


class Command(output.Command):
    help = "Write trades as CSV, by wallet and time, with the cost and the gain of each sale (average cost)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", metavar="FILE", help="a new file; standard output without it")
        parser.add_argument(
            "--wallet", action="append", default=[], metavar="ADDRESS", help="only of this wallet; repeatable"
        )
        add_owner_option(parser)
        parser.add_argument("--year", type=int, help="only of this year (UTC)")

    def handle(self, **options: Any) -> None:
        trades, year, wallets = Trade.objects.all(), options["year"], wallets_of(options["owner"])
        if options["wallet"]:
            known = by_address(wallets, options["wallet"])
            if unknown := sorted(set(options["wallet"]) - known.keys()):
                raise CommandError(f"There is no wallet {', '.join(unknown)}.")
            trades = trades.filter(wallet__in=[wallet for same in known.values() for wallet in same])
        elif options["owner"] is not None:
            trades = trades.filter(wallet__in=wallets)
        since = until = None
        if year is not None:
            if not FIRST_YEAR <= year <= LAST_YEAR:
                raise CommandError(f"--year must be from {FIRST_YEAR} to {LAST_YEAR}; it is {year}.")
            since, until = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        rows = with_gains(trades, since=since, until=until)
        if options["output"] is None:
            _write(rows, self.stdout.write_data, None)
            return
        try:
            descriptor = os.open(options["output"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                count = _write(rows, file.write, Progress(self.stdout))
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{count:,} trades written to {options['output']}.")


def _write(rows: Any, write: Callable[[str], object], progress: Progress | None) -> int:
    """Write the header and these rows; return how many."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    count = 0
    for trade, gain in rows:
        writer.writerow([cell(CELLS[name](trade, gain)) for name in COLUMNS])
        count += 1
        if count % SHOW_EVERY == 0:
            _flush(text, write)
            if progress:
                progress.show(f"{count:,} trades written")
    _flush(text, write)
    if progress:
        progress.end()
    return count


def _flush(text: io.StringIO, write: Callable[[str], object]) -> None:
    if value := text.getvalue():
        write(value)
    text.seek(0)
    text.truncate()
