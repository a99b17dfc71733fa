"""The engine's tables, as its database has them: which of their columns are read, and which are not needed."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    needed: frozenset[str]
    read: frozenset[str]
    """Where they are there."""
    unused: frozenset[str]

    @property
    def known(self) -> frozenset[str]:
        return self.needed | self.read | self.unused


def _table(name: str, *, needed: str, read: str = "", unused: str = "") -> Table:
    return Table(name, *(frozenset(names.split()) for names in (needed, read, unused)))


USERS = _table(
    "users", needed="id email", unused="password_hash created_at failed_login_attempts locked_until"
)
AGENTS = _table(
    "agents",
    needed="id name",
    read="user_id trading_mode created_at",
    unused="updated_at automated_trading_simulation automated_trading_live trading_config",
)
WALLETS = _table(
    "agent_wallets", needed="wallet_address agent_id", read="wallet_type created_at", unused="updated_at"
)
POSITIONS = _table(
    "agent_positions",
    needed="id wallet_address token_address purchase_amount total_invested_sol created_at",
    read="token_symbol purchase_transaction_id current_stop_loss_percentage peak_price last_stop_loss_update"
    " dca_count dca_transaction_ids last_dca_time lowest_price remaining_amount take_profit_levels_hit"
    " take_profit_transaction_ids last_take_profit_time moon_bag_activated moon_bag_amount realized_profit_sol"
    " tp_batch_start_level total_take_profit_levels",
    unused="agent_id purchase_price updated_at signal_score expected_move_pct",
)
TRANSACTIONS = _table(
    "agent_transactions",
    needed="id wallet_address transaction_type transaction_time",
    read="input_mint input_symbol input_amount input_price output_mint output_symbol output_amount output_price"
    " transaction_value_usd transaction_hash protocol_fee_sol network_fee_sol",
    unused="agent_id destination_address signal_id fees routes slippage price_impact is_dca is_take_profit created_at"
    " updated_at swap_payload",
)
SWAPS = _table(
    "agent_historical_swaps",
    needed="id wallet_address token_address amount purchase_price profit_loss_sol purchase_time sale_time",
    read="token_symbol purchase_transaction_id sale_transaction_id close_reason",
    unused="agent_id sale_price change_percent profit_loss_usd signal_id created_at",
)
TABLES = {table.name: table for table in (USERS, AGENTS, WALLETS, POSITIONS, TRANSACTIONS, SWAPS)}
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def table_name(written: str) -> str:
    """Return a table's name as the database has it: of `agentPositions`, `AgentPosition` or `positions`, too."""
    name = column_name(written)
    name = name if name.endswith("s") else f"{name}s"
    return f"agent_{name}" if f"agent_{name}" in TABLES else name


def column_name(written: str) -> str:
    """Return a column's name as the database has it: Prisma, by which the engine reads it, has camelCase."""
    return _WORD.sub("_", written.strip()).lower()
