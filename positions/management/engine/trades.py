"""The swaps of an export as rows of an import, and what is known of their positions besides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from positions.books.accounting import PRICE_LIMIT, digits
from positions.books.cells import cell
from positions.errors import PositionsError
from positions.management.engine.records import ClosedRow, OpenRow, Problem, Rows
from positions.management.engine.stories import tell
from positions.management.engine.swaps import Swap, swaps_of
from positions.services.importing import Detail
from positions.services.trade_lines import InvalidRow, Row, read_row


class Trades(NamedTuple):
    groups: dict[tuple[str, str], list[Row]]
    """By wallet and token, in the order of their execution."""
    details: dict[str, Detail]
    origins: list[tuple[str, int]]
    """The table and row that each row is from, by its line."""
    none: dict[str, int]
    """How many transactions are no trades, by what they are."""


def trades_of(rows: Rows, problems: list[Problem], notes: list[Problem]) -> Trades:
    """Return what is to be imported. Adds what is wrong, and what the export does not say, in sentences.

    Takes the transactions out of `rows`.
    """
    kinds = {wallet.address: wallet.kind for wallet in rows.wallets}
    swaps, none = swaps_of(rows.transactions, kinds, problems)
    rows.transactions = []
    by_token: dict[tuple[str, str], tuple[list[Swap], list[OpenRow | ClosedRow]]] = {}
    for swap in (each for each in swaps if each.wallet in kinds):
        by_token.setdefault((swap.wallet, swap.token), ([], []))[0].append(swap)
    every: list[OpenRow | ClosedRow] = [*rows.open, *rows.closed]
    for position in (each for each in every if each.wallet in kinds):
        by_token.setdefault((position.wallet, position.token), ([], []))[1].append(position)
    trades = Trades({}, dict(_details(rows)), [], dict(none))
    swaps.clear()
    for key in sorted(by_token):
        own, positions = by_token.pop(key)
        told = tell(own, positions, notes)
        symbol = next((position.symbol for position in positions if position.symbol), "")
        for swap in told:
            line = len(trades.origins)
            trades.origins.append((swap.table, swap.row))
            try:
                row = read_row(line, _cells(swap, symbol))
            except InvalidRow as error:
                problems += [Problem(swap.table, swap.row, problem) for problem in error.problems]
            except PositionsError as error:
                problems.append(Problem(swap.table, swap.row, error.message))
            else:
                trades.groups.setdefault(key, []).append(row)
    return trades


def _details(rows: Rows) -> Iterator[tuple[str, Detail]]:
    for row in rows.open:
        yield (
            str(row.id),
            Detail(
                id=row.id,
                created_at=row.created_at,
                peak_price=_price(row.peak_price),
                lowest_price=_price(row.lowest_price),
                fields=row.rules,
            ),
        )
    for closed in rows.closed:
        yield str(closed.id), Detail(id=closed.id, close_reason=closed.reason[:200])


def _price(price: Decimal | None) -> Decimal | None:
    return price if price is not None and 0 < price < PRICE_LIMIT else None


def _cells(swap: Swap, symbol: str) -> dict[str, str]:
    """Return the swap as a line of CSV, which `import_trades` checks."""
    return {
        "executed_at": swap.time.isoformat(),
        "wallet": swap.wallet,
        "token_address": swap.token,
        "token_symbol": cell(symbol or swap.symbol),
        "side": swap.side,
        "tokens": digits(swap.tokens),
        "sol": digits(swap.sol),
        "fee_sol": digits(swap.fee_sol),
        "sol_usd": "" if swap.sol_usd is None else digits(swap.sol_usd),
        "transaction_id": "" if swap.transaction_id is None else cell(swap.transaction_id),
        "position": swap.story,
        "figures": "" if swap.figures is None else json.dumps(swap.figures),
    }
