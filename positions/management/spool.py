"""Lines of a file, sorted on disk: a hundred thousand of them need no more memory than those of one token."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

from positions.books.trades import Side
from positions.errors import PositionsError
from positions.services.trade_lines import Row

_TABLE = """
    CREATE TABLE row (
        wallet TEXT, token TEXT, executed_at TEXT, line INTEGER, transaction_id TEXT, content TEXT,
        UNIQUE (wallet, transaction_id)
    )
"""


class Spool:
    """A temporary SQLite file. Use as a context manager."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="nexgent-import-")
        self._database = sqlite3.connect(Path(self._folder.name) / "rows.sqlite3", isolation_level=None)
        self._database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_TABLE}; BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()
        self._folder.cleanup()

    def add(self, row: Row) -> bool:
        """Keep the row; return whether it is new, and not a repeat of an earlier line. Raises PositionsError."""
        at = row.executed_at.astimezone(UTC).isoformat(timespec="microseconds")
        values = (row.wallet, row.token_address, at, row.line, row.transaction_id, _packed(row))
        try:
            self._database.execute("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?)", values)
        except sqlite3.IntegrityError:
            earlier = self._database.execute(
                "SELECT token, executed_at, content, line FROM row WHERE wallet = ? AND transaction_id = ?",
                (row.wallet, row.transaction_id),
            ).fetchone()
            if earlier[:3] != (values[1], values[2], values[5]):
                raise PositionsError(
                    f"transaction_id: line {earlier[3]} has it already, with other content"
                ) from None
            return False
        return True

    def wallets(self) -> list[str]:
        return [wallet for (wallet,) in self._database.execute("SELECT DISTINCT wallet FROM row ORDER BY 1")]

    def tokens(self) -> Iterator[tuple[str, str, list[Row]]]:
        """Yield the rows of each wallet and token, in the order of their execution."""
        pairs = self._database.execute("SELECT DISTINCT wallet, token FROM row ORDER BY 1, 2").fetchall()
        self._database.execute("CREATE INDEX in_order ON row (wallet, token, executed_at, line)")
        for wallet, token in pairs:
            query = "SELECT * FROM row WHERE wallet = ? AND token = ? ORDER BY executed_at, line"
            with closing(self._database.execute(query, (wallet, token))) as found:
                yield wallet, token, [_unpacked(values) for values in found]


def _packed(row: Row) -> str:
    numbers = (row.tokens, row.sol, row.fee_sol, row.sol_usd)
    texts = [None if number is None else str(number) for number in numbers]
    return json.dumps([row.token_symbol, row.side, *texts, row.position, row.figures, row.note])


def _unpacked(values: tuple[str, str, str, int, str | None, str]) -> Row:
    wallet, token, executed_at, line, transaction_id, content = values
    symbol, side, tokens, sol, fee_sol, sol_usd, position, figures, note = json.loads(content)
    return Row(
        line=line,
        wallet=wallet,
        token_address=token,
        token_symbol=symbol,
        side=Side(side),
        tokens=Decimal(tokens),
        sol=Decimal(sol),
        fee_sol=Decimal(fee_sol),
        sol_usd=None if sol_usd is None else Decimal(sol_usd),
        executed_at=datetime.fromisoformat(executed_at),
        transaction_id=transaction_id,
        position=position,
        figures=figures,
        note=note,
    )
