"""A trade as a line of CSV: its columns, which `export_trades` writes, and how `import_trades` reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from hashlib import sha256
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.utils import timezone

from positions.books import accounting
from positions.books.accounting import ZERO
from positions.books.cells import text_of
from positions.books.numbers import digits, read_number, shown
from positions.books.symbols import symbol_of
from positions.books.trades import Books, Side, check_rate
from positions.errors import PositionsError
from positions.models import LONGEST_ADDRESS, Trade, base58
from positions.services.entries import EARLIEST, check_executed_at, check_note, check_transaction_id
from positions.services.trade_figures import read_figures

REQUIRED = ("executed_at", "wallet", "token_address", "side", "tokens", "sol")
COMPUTED = ("cost_sol", "gain_sol", "cost_usd", "proceeds_usd", "gain_usd")
"""Written by an export, ignored by an import."""
COLUMNS = (
    "executed_at",
    "wallet",
    "token_address",
    "token_symbol",
    "side",
    "tokens",
    "sol",
    "fee_sol",
    "sol_usd",
    "transaction_id",
    "position",
    "figures",
    "note",
    *COMPUTED,
)
AT_COST = {Side.TRANSFER_OUT, Side.MIGRATION, Side.BALANCE}
"""Their SOL is what the tokens cost, which is worked out here."""
SIDES = [side.value for side in Side]
LONGEST_NAME = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A checked line; what depends on the wallet's other trades is checked later."""

    line: int
    wallet: str
    token_address: str
    token_symbol: str
    side: Side
    tokens: Decimal
    sol: Decimal
    fee_sol: Decimal
    sol_usd: Decimal | None
    executed_at: datetime
    transaction_id: str | None
    position: str = ""
    """What its position is called in the file: rows of the same name stay in one."""
    figures: Mapping[str, str | int] | None = None
    """What a balance states."""
    note: str | None = None


class InvalidRow(Exception):
    """What is wrong with a line, field by field."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_row(line: int, cells: Mapping[str, str]) -> Row:
    """Return the row that these cells are. Raises InvalidRow."""
    reader = _Reader(cells)
    side = reader.read("side", _side, Side.PURCHASE)
    address = reader.read("token_address", _address, "")
    sol = reader.read("sol", lambda text, name: _sol(text, name, side), ZERO)
    books = reader.read("figures", lambda text, name: _figures(text, name, side), None)
    tokens = reader.read("tokens", lambda text, name: _tokens(text, name, side), ZERO)
    if side is Side.BALANCE:
        if books is None:
            if not cells.get("figures", "").strip():
                reader.problems.append("figures is missing: a balance states them")
        elif tokens != books.holding.remaining_amount:
            reader.problems.append(
                f"tokens must be the remaining_amount of figures, {digits(books.holding.remaining_amount)}, not"
                f" {shown(tokens)}"
            )
    row = Row(
        line=line,
        wallet=reader.read("wallet", _address, ""),
        token_address=address,
        token_symbol=reader.read("token_symbol", lambda text, _: symbol_of(text_of(text), address), ""),
        side=side,
        tokens=tokens,
        sol=sol,
        fee_sol=reader.read("fee_sol", lambda text, name: _fee(text, name, sol, side), ZERO),
        sol_usd=reader.read("sol_usd", _rate, None),
        executed_at=reader.read("executed_at", _moment, EARLIEST),
        transaction_id=reader.read("transaction_id", _transaction_id, None),
        position=reader.read("position", _position, ""),
        figures=None if books is None else books.figures,
        note=reader.read("note", _note, None),
    )
    if reader.problems:
        raise InvalidRow(reader.problems)
    return row


def digest_of(trade: Row | Trade) -> str:
    """Return what distinguishes a trade without a transaction id from others of its wallet and token."""
    parts = [
        trade.side,
        _plain(trade.tokens),
        "" if trade.side in AT_COST else _plain(trade.sol),
        _plain(trade.fee_sol),
        f"{trade.executed_at.timestamp():.6f}",
        *(f"{name}={figure}" for name, figure in sorted((trade.figures or {}).items())),
    ]
    return sha256("|".join(["import", *parts]).encode()).hexdigest()


def _plain(number: Decimal) -> str:
    return str(number.normalize(Context(prec=60)))


class _Reader:
    """Reads cell by cell, and collects what is wrong."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self._cells = cells
        self.problems: list[str] = []

    def read(self, name: str, convert: Callable[[str, str], T], otherwise: T) -> T:
        text = self._cells.get(name, "").strip()
        if not text and name not in REQUIRED and name != "token_symbol":
            return otherwise
        try:
            if not text and name in REQUIRED and name != "sol":
                raise PositionsError(f"{name} is missing")
            return convert(text, name)
        except PositionsError as error:
            message = error.message
        except ValidationError as error:
            message = f"{name}: {error.messages[0]}"
        self.problems.append(message)
        return otherwise


def _side(text: str, name: str) -> Side:
    if text not in SIDES:
        raise PositionsError(f"{name} must be one of {', '.join(SIDES)}, not {shown(text)}")
    return Side(text)


def _address(text: str, name: str) -> str:
    if len(text) > LONGEST_ADDRESS:
        raise PositionsError(f"{name} must have at most {LONGEST_ADDRESS} characters, not {len(text)}")
    base58(text)
    return text


def _figures(text: str, name: str, side: Side) -> Books:
    if side is not Side.BALANCE:
        raise PositionsError(f"{name} must be empty, except for a balance")
    return read_figures(text, name)


def _position(text: str, name: str) -> str:
    if len(text) > LONGEST_NAME:
        raise PositionsError(f"{name} must have at most {LONGEST_NAME} characters, not {len(text)}")
    return text


def _tokens(text: str, name: str, side: Side) -> Decimal:
    if side is Side.BALANCE and not (number := read_number(text, name)):
        return number
    # Every digit that the column holds: what was exported comes back as it was.
    return accounting.tokens_of(read_number(text, name), name, decimals=accounting.MOST_DECIMALS)


def _sol(text: str, name: str, side: Side) -> Decimal:
    if not text:
        if side in {Side.AIRDROP, *AT_COST}:
            return ZERO
        raise PositionsError(f"{name} is missing")
    sol = accounting.sol_of(read_number(text, name), name, positive=side is Side.PURCHASE)
    if side is Side.AIRDROP and sol:
        raise PositionsError(f"{name} of an airdrop must be 0, not {shown(sol)}")
    return sol


def _fee(text: str, name: str, sol: Decimal, side: Side) -> Decimal:
    fee = accounting.sol_of(read_number(text, name), name, positive=False)
    if side is Side.PURCHASE and fee > sol:
        raise PositionsError(
            f"{name} must be at most sol, {shown(sol)}, which it is part of, not {shown(fee)}"
        )
    return fee


def _rate(text: str, name: str) -> Decimal | None:
    return check_rate(read_number(text, name))


def _moment(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PositionsError(
            f"{name} must be a time such as 2025-03-01T12:00:00Z, not {shown(text)}"
        ) from None
    check_executed_at(moment, timezone.now())
    return moment


def _note(text: str, name: str) -> str | None:
    note = text_of(text)
    check_note(note)
    return note


def _transaction_id(text: str, name: str) -> str | None:
    identity = text_of(text)
    check_transaction_id(identity)
    return identity
