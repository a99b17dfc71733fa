"""A trade, as REST lists it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from positions.api.wire import Id
from positions.books.snapshots import Number, Timestamp, number, timestamp
from positions.books.trades import Side
from positions.models import Trade

SideName = Annotated[str, Meta(extra_json_schema={"enum": list(Side)})]


class TradeOnRest(Struct, rename="camel", kw_only=True):
    """A purchase, sale, airdrop or transfer, as it was."""

    id: Id
    position_id: Id
    agent_id: Id
    wallet_address: str
    token_address: str
    token_symbol: str
    side: SideName
    tokens: Number
    sol: Number
    """What left the wallet or reached it, fees included; of a transfer, what the tokens cost."""
    fee_sol: Number
    sol_usd: Number | None
    """SOL in USD then; null where it is not known."""
    transaction_id: str | None
    executed_at: Timestamp
    recorded_at: Timestamp
    reconstructed: bool
    """Worked out from what was stored before there were trades."""
    note: str | None
    """Why, as whoever sold has said."""


def trade_on_rest(trade: Trade) -> TradeOnRest:
    """Return a trade, whose position was read with it."""
    return TradeOnRest(
        id=str(trade.pk),
        position_id=str(trade.position_id),
        agent_id=str(trade.position.agent_id),
        wallet_address=trade.wallet_address,
        token_address=trade.position.token_address,
        token_symbol=trade.position.token_symbol,
        side=trade.side,
        tokens=number(trade.tokens),
        sol=number(trade.sol),
        fee_sol=number(trade.fee_sol),
        sol_usd=number(trade.sol_usd),
        transaction_id=trade.transaction_id,
        executed_at=timestamp(trade.executed_at),
        recorded_at=timestamp(trade.recorded_at),
        reconstructed=trade.reconstructed,
        note=trade.note,
    )
