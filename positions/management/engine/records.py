"""The rows of an export as objects. Amounts are whole tokens and SOL, as the engine's columns have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID


class Problem(NamedTuple):
    table: str
    row: int
    """From 1 on, without the header of CSV; 0 where it is about none."""
    message: str

    def __str__(self) -> str:
        return f"{self.table} row {self.row}: {self.message}" if self.row else f"{self.table}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    row: int
    id: UUID
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow:
    row: int
    id: UUID
    user_id: UUID | None
    name: str
    mode: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRow:
    row: int
    address: str
    """As here."""
    engines: str
    """The engine's address."""
    agent_id: UUID
    kind: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRow:
    """An open position: the engine deletes those that it closes."""

    row: int
    id: UUID
    wallet: str
    token: str
    symbol: str
    bought: Decimal
    held: Decimal
    invested_sol: Decimal
    realized_sol: Decimal
    dca_count: int
    transactions: tuple[str, ...]
    """All that it lists, the opening purchase first."""
    created_at: datetime
    last_dca_time: datetime | None
    last_take_profit_time: datetime | None
    peak_price: Decimal | None
    lowest_price: Decimal | None
    rules: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of Position, by their names here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedRow:
    """A position that was closed, from its first purchase to its last sale."""

    row: int
    id: UUID
    wallet: str
    token: str
    symbol: str
    bought: Decimal
    purchase_price: Decimal
    profit_sol: Decimal
    opened_at: datetime
    closed_at: datetime
    purchase: str | None
    sale: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRow:
    row: int
    id: str
    wallet: str
    kind: str
    time: datetime
    mints: tuple[str | None, str | None]
    symbols: tuple[str | None, str | None]
    amounts: tuple[Decimal | None, Decimal | None]
    prices: tuple[Decimal | None, Decimal | None]
    """Input and output each; prices in SOL."""
    value_usd: Decimal | None
    hash: str | None
    protocol_fee_sol: Decimal
    network_fee_sol: Decimal


@dataclass(slots=True)
class Rows:
    users: list[User] = field(default_factory=list)
    agents: list[AgentRow] = field(default_factory=list)
    wallets: list[WalletRow] = field(default_factory=list)
    open: list[OpenRow] = field(default_factory=list)
    closed: list[ClosedRow] = field(default_factory=list)
    transactions: list[TransactionRow] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)
    """Of all rows of wallets, also of those with a problem."""
    problems: list[Problem] = field(default_factory=list)
