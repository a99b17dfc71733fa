"""Reading the rows of an export: what is wrong with each, column by column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError

from positions.books.amounts import AMOUNT, AMOUNT_LIMIT, EXACT, ZERO
from positions.books.numbers import digits, shown
from positions.management.engine.cells import Cells
from positions.management.engine.files import Export
from positions.management.engine.records import (
    AgentRow,
    ClosedRow,
    OpenRow,
    Problem,
    Rows,
    TransactionRow,
    User,
    WalletRow,
)
from positions.management.engine.tables import AGENTS, POSITIONS, SWAPS, TRANSACTIONS, USERS, WALLETS, Table
from positions.models import LONGEST_ADDRESS, Mode, base58
from positions.services.positions import STOP_LOSS_LIMIT, STOP_LOSS_LOWEST

PERCENT_STORED = Decimal("0.0001")
NOBODY = UUID(int=0)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")
_SIMULATED = re.compile("sim_([1-9A-HJ-NP-Za-km-z]+)")


def read_rows(export: Export) -> Rows:
    """Return the rows of the export, and what is wrong with each of the others. The export is empty afterwards."""
    rows = Rows()
    rows.users = list(_each(export, USERS, _user, rows.problems))
    rows.agents = list(_each(export, AGENTS, _agent, rows.problems))
    raw = export.tables.get(WALLETS.name, [])
    rows.addresses = {address_here(str(row.get("wallet_address"))) for row in raw}
    rows.wallets = list(_each(export, WALLETS, _wallet, rows.problems))
    rows.open = list(_each(export, POSITIONS, _open, rows.problems))
    rows.closed = list(_each(export, SWAPS, _closed, rows.problems))
    rows.transactions = list(_each(export, TRANSACTIONS, _transaction, rows.problems))
    return rows


def address_here(engines: str) -> str:
    """Return a wallet's address here: the engine's simulated ones begin with `sim_`, which no address has."""
    simulated = _SIMULATED.fullmatch(engines)
    return f"Sim{simulated[1]}" if simulated else engines


def _is_address(address: str) -> bool:
    try:
        base58(address)
    except ValidationError:
        return False
    return True


def _each(
    export: Export, table: Table, read: Callable[[int, Cells], T], problems: list[Problem]
) -> Iterator[T]:
    raw = export.tables.get(table.name, [])
    for number in range(1, len(raw) + 1):
        cells = Cells(raw[number - 1])
        raw[number - 1] = {}
        row = read(number, cells)
        problems += [Problem(table.name, number, problem) for problem in cells.problems]
        if not cells.problems:
            yield row


def _user(row: int, cells: Cells) -> User:
    return User(row=row, id=_id(cells), email=_text(cells, "email"))


def _agent(row: int, cells: Cells) -> AgentRow:
    return AgentRow(
        row=row,
        id=_id(cells),
        user_id=cells.uuid("user_id"),
        name=_text(cells, "name"),
        mode=_mode(cells, "trading_mode"),
        created_at=cells.moment("created_at"),
    )


def _wallet(row: int, cells: Cells) -> WalletRow:
    engines = _text(cells, "wallet_address")
    address = address_here(engines)
    if engines and (len(address) > LONGEST_ADDRESS or not _is_address(address)):
        text = f"wallet_address: {engines!r} is no address of Solana, nor one that begins with sim_"
        cells.problems.append(text)
    return WalletRow(
        row=row,
        address=address,
        engines=engines,
        agent_id=_id(cells, "agent_id"),
        kind=_mode(cells, "wallet_type"),
        created_at=cells.moment("created_at"),
    )


def _open(row: int, cells: Cells) -> OpenRow:
    bought = _number(cells, "purchase_amount")
    held = cells.number("remaining_amount")
    total = cells.count("total_take_profit_levels")
    rules = {
        "current_stop_loss_percentage": _within(
            cells, "current_stop_loss_percentage", STOP_LOSS_LOWEST, STOP_LOSS_LIMIT, PERCENT_STORED
        ),
        "last_stop_loss_update": cells.moment("last_stop_loss_update"),
        "take_profit_levels_hit": cells.count("take_profit_levels_hit") or 0,
        "moon_bag_activated": cells.flag("moon_bag_activated"),
        "moon_bag_amount": _within(cells, "moon_bag_amount", ZERO, AMOUNT_LIMIT, AMOUNT),
        "total_take_profit_levels": total,
        # The engine has a 0 here where there is no plan.
        "tp_batch_start_level": None if total is None else cells.count("tp_batch_start_level") or 0,
    }
    opening = cells.text("purchase_transaction_id")
    return OpenRow(
        row=row,
        id=_id(cells),
        wallet=address_here(_text(cells, "wallet_address")),
        token=_text(cells, "token_address"),
        symbol=cells.text("token_symbol") or "",
        bought=bought,
        held=bought if held is None else held,
        invested_sol=_number(cells, "total_invested_sol"),
        realized_sol=cells.number("realized_profit_sol") or ZERO,
        dca_count=cells.count("dca_count") or 0,
        transactions=(
            *filter(None, [opening]),
            *cells.texts("dca_transaction_ids"),
            *cells.texts("take_profit_transaction_ids"),
        ),
        created_at=_moment(cells, "created_at"),
        last_dca_time=cells.moment("last_dca_time"),
        last_take_profit_time=cells.moment("last_take_profit_time"),
        peak_price=cells.number("peak_price"),
        lowest_price=cells.number("lowest_price"),
        rules=rules,
    )


def _closed(row: int, cells: Cells) -> ClosedRow:
    return ClosedRow(
        row=row,
        id=_id(cells),
        wallet=address_here(_text(cells, "wallet_address")),
        token=_text(cells, "token_address"),
        symbol=cells.text("token_symbol") or "",
        bought=_number(cells, "amount"),
        purchase_price=_number(cells, "purchase_price"),
        profit_sol=_number(cells, "profit_loss_sol"),
        opened_at=_moment(cells, "purchase_time"),
        closed_at=_moment(cells, "sale_time"),
        purchase=cells.text("purchase_transaction_id"),
        sale=cells.text("sale_transaction_id"),
        reason=cells.text("close_reason") or "",
    )


def _transaction(row: int, cells: Cells) -> TransactionRow:
    return TransactionRow(
        row=row,
        id=_text(cells, "id"),
        wallet=address_here(_text(cells, "wallet_address")),
        kind=_text(cells, "transaction_type"),
        time=_moment(cells, "transaction_time"),
        mints=(cells.text("input_mint"), cells.text("output_mint")),
        symbols=(cells.text("input_symbol"), cells.text("output_symbol")),
        amounts=(cells.number("input_amount"), cells.number("output_amount")),
        prices=(cells.number("input_price"), cells.number("output_price")),
        value_usd=cells.number("transaction_value_usd"),
        hash=cells.text("transaction_hash"),
        protocol_fee_sol=cells.number("protocol_fee_sol") or ZERO,
        network_fee_sol=cells.number("network_fee_sol") or ZERO,
    )


def _id(cells: Cells, name: str = "id") -> UUID:
    return cells.needed(name, cells.uuid(name), NOBODY)


def _text(cells: Cells, name: str) -> str:
    return cells.needed(name, cells.text(name), "")


def _number(cells: Cells, name: str) -> Decimal:
    return cells.needed(name, cells.number(name), ZERO)


def _within(cells: Cells, name: str, lowest: Decimal, limit: Decimal, step: Decimal) -> Decimal | None:
    number = cells.number(name)
    if number is None:
        return None
    if not lowest <= number < limit:
        cells.problems.append(
            f"{name} must be at least {digits(lowest)} and below {digits(limit)}, not {shown(number)}"
        )
        return None
    return number.quantize(step, context=EXACT)


def _moment(cells: Cells, name: str) -> datetime:
    return cells.needed(name, cells.moment(name), NEVER)


def _mode(cells: Cells, name: str) -> str:
    mode = (cells.text(name) or Mode.SIMULATION).lower()
    if mode not in Mode.values:
        cells.problems.append(f"{name} must be one of {', '.join(Mode.values)}, not {mode}")
    return mode
