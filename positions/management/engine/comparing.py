"""Where the positions here differ from the figures of the export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from positions.books.accounting import digits
from positions.management.engine.making import Made
from positions.management.engine.records import ClosedRow, OpenRow, Problem, Rows
from positions.management.engine.tables import POSITIONS, SWAPS
from positions.models import Position, Trade
from positions.models.querysets import chunks

SOL_NOISE = Decimal("1e-7")
"""The engine's columns have 8 decimals, and it adds up doubles."""
TOKENS_NOISE = Decimal("1e-9")


def differences(
    rows: Rows, made: Made, sales: Mapping[str, str], *, has_positions: bool
) -> Iterator[Problem]:
    """Yield what differs, position by position. One query for 500 wallets, and one for 500 closed positions.

    `sales`: the transaction id here of each closed position's last trade. `has_positions`: whether the export has a
    table of open ones.
    """
    held: dict[tuple[str, str], Position] = {}
    keys = {wallet.pk: address for address, wallet in made.wallets.items()}
    for some in chunks(list(keys)):
        for position in Position.objects.open().filter(wallet__in=some).order_by():
            held[keys[position.wallet_id], position.token_address] = position
    for row in rows.open:
        yield from _open(row, held.pop((row.wallet, row.token), None))
    if has_positions:
        for (wallet, _), position in held.items():
            text = f"{position.token_symbol} in {wallet} is open here with {digits(position.remaining_amount)} held,"
            yield Problem(POSITIONS.name, 0, f"{text} and not in the export")
    closed = _closed_here(rows.closed, made, sales)
    for row_closed in rows.closed:
        yield from _closed(row_closed, closed.get(str(row_closed.id)))


def _open(row: OpenRow, position: Position | None) -> Iterator[Problem]:
    if position is None:
        yield Problem(POSITIONS.name, row.row, f"{row.symbol or row.token} is not open here")
        return
    figures = {
        "remaining_amount": (position.remaining_amount, row.held, TOKENS_NOISE),
        "purchase_amount": (position.purchase_amount, row.bought, TOKENS_NOISE),
        "total_invested_sol": (position.total_invested_sol, row.invested_sol, SOL_NOISE),
        "realized_profit_sol": (position.realized_profit_sol, row.realized_sol, SOL_NOISE),
    }
    for name, (here, there, noise) in figures.items():
        if abs(here - there) > noise:
            text = f"{row.symbol or row.token}: {name} is {digits(here)} here, {digits(there)} in the export"
            yield Problem(POSITIONS.name, row.row, text)


def _closed(row: ClosedRow, position: Position | None) -> Iterator[Problem]:
    name = row.symbol or row.token
    if position is None:
        yield Problem(SWAPS.name, row.row, f"{name}: none of its trades is here")
    elif position.status != Position.Status.CLOSED:
        yield Problem(SWAPS.name, row.row, f"{name} is still open here")
    elif abs(position.realized_profit_sol - row.profit_sol) > SOL_NOISE:
        here, there = digits(position.realized_profit_sol), digits(row.profit_sol)
        yield Problem(SWAPS.name, row.row, f"{name}: profit_loss_sol is {here} here, {there} in the export")


def _closed_here(rows: Iterable[ClosedRow], made: Made, sales: Mapping[str, str]) -> Mapping[str, Position]:
    """Return the position of each closed row, by its last trade: it may have been imported while it was open."""
    wanted = {
        (made.wallets[row.wallet].pk, sales[str(row.id)]): str(row.id) for row in rows if str(row.id) in sales
    }
    found: dict[str, Position] = {}
    for some in chunks([identity for _, identity in wanted]):
        trades = Trade.objects.filter(transaction_id__in=some).select_related("position").order_by()
        for trade in trades:
            if (name := wanted.get((trade.wallet_id, trade.transaction_id or ""))) is not None:
                found[name] = trade.position
    return found
