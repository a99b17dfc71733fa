"""What is booked already, of the wallets and tokens that an import is about: read for many of them at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from positions.books import accounting
from positions.models import Position, Trade, Wallet
from positions.models.querysets import chunks
from positions.prices.mint_decimals import decimals_of_all
from positions.services.trade_lines import AT_COST, Row, digest_of


class Group(NamedTuple):
    """The rows of one token in one wallet, in the order of their execution."""

    wallet: Wallet
    token_address: str
    rows: Sequence[Row]


class Problem(NamedTuple):
    line: int
    message: str


@dataclass(slots=True)
class Known:
    """Everything that is booked in the groups' wallets and tokens."""

    positions: dict[tuple[str, str], list[Position]] = field(default_factory=dict)
    """By wallet and token."""
    trades: dict[UUID, list[Trade]] = field(default_factory=dict)
    """By position, in the order of their execution."""
    by_id: dict[tuple[str, str], Trade] = field(default_factory=dict)
    """By wallet and transaction id; of other tokens, too."""
    decimals: dict[str, int] = field(default_factory=dict)
    """By token."""

    @classmethod
    def of(cls, groups: Sequence[Group]) -> Known:
        """A statement for each wallet and 500 of its tokens or transaction ids, and for 500 positions."""
        known = cls(decimals=decimals_of_all({group.token_address for group in groups}))
        by_wallet: dict[str, list[Group]] = {}
        for group in groups:
            by_wallet.setdefault(group.wallet.pk, []).append(group)
        for wallet_id, own in by_wallet.items():
            for tokens in chunks([group.token_address for group in own]):
                held = Position.objects.filter(wallet=wallet_id, token_address__in=tokens)
                for position in held.order_by():
                    known.positions.setdefault((wallet_id, position.token_address), []).append(position)
            for ids in chunks([row.transaction_id for group in own for row in group.rows]):
                for trade in _compared(wallet_id, filter(None, ids)):
                    known.by_id[wallet_id, trade.transaction_id or ""] = trade
        for positions in chunks([each for found in known.positions.values() for each in found]):
            for trade in Trade.objects.filter(position__in=positions).order_by("executed_at", "recorded_at"):
                known.trades.setdefault(trade.position_id, []).append(trade)
        return known

    def new_rows(self, group: Group) -> tuple[list[Row], list[Problem]]:
        """Return the group's rows that are not booked yet, and what is booked with other content.

        Rows are recognised by their transaction id or else by their content. Two equal ones without an id are two
        trades: as many of them are known as are booked.
        """
        positions = self.positions.get((group.wallet.pk, group.token_address), [])
        stated = {identity for position in positions for identity in position.transaction_ids}
        by_content = Counter(
            trade.content or digest_of(trade)
            for position in positions
            for trade in self.trades.get(position.pk, [])
            if trade.transaction_id is None
        )
        new, problems = [], []
        for row in group.rows:
            if row.transaction_id is None:
                content = digest_of(row)
                is_known = by_content[content] > 0
                by_content[content] -= is_known
            elif (trade := self.by_id.get((group.wallet.pk, row.transaction_id))) is not None:
                is_known = True
                if (difference := _difference(row, trade)) is not None:
                    message = f"transaction_id: this wallet has booked it already, with another {difference}"
                    problems.append(Problem(row.line, message))
            else:
                is_known = row.transaction_id in stated  # by a release that had no trades
            if not is_known:
                new.append(row)
        return new, problems


def _compared(wallet_id: str, transaction_ids: Iterable[str]) -> Iterable[Trade]:
    """Return the trades of these ids with what is compared of them."""
    booked = Trade.objects.filter(wallet=wallet_id, transaction_id__in=list(transaction_ids))
    columns = ("transaction_id", "side", "tokens", "sol", "executed_at", "position__token_address")
    # In the models' order, SQLite would go through all trades of the wallet.
    return booked.select_related("position").only(*columns).order_by()


def _difference(row: Row, trade: Trade) -> str | None:
    if row.token_address != trade.position.token_address:
        return "token_address"
    if row.side != trade.side:
        return "side"
    if not accounting.is_dust(abs(row.tokens - trade.tokens)):
        return "amount of tokens"
    if row.side not in AT_COST and row.sol != trade.sol:
        return "sum of SOL"
    if row.executed_at != trade.executed_at:
        return f"executed_at, {trade.executed_at.isoformat()}"
    return None
