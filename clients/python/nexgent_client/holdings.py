"""What the agent holds, kept up to date from messages: positions by id, valued anew at each price.

The rules are the server's (docs/protocol.md, "Accounting"): average cost, USD by the SOL/USD of the same update.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from nexgent_client.messages import Changed, Closed, Message, Position, Prices, PriceUpdate, Snapshot

EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)
SOL, USD, PERCENT = Decimal("1e-9"), Decimal("1e-6"), Decimal("1e-6")
PRICE = Decimal("1e-30")
ZERO = Decimal(0)


class Holdings:
    """Open positions, by their ids. Iterates over them."""

    def __init__(self) -> None:
        self.seq: int | None = None
        """Of the last event that is in here."""
        self._positions: dict[str, Position] = {}
        self._pools: dict[str, tuple[Decimal | None, Decimal | None]] = {}

    def __iter__(self) -> Iterator[Position]:
        return iter(list(self._positions.values()))

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, position_id: object) -> bool:
        return position_id in self._positions

    def __getitem__(self, position_id: str) -> Position:
        return self._positions[position_id]

    def of_token(self, token_address: str) -> list[Position]:
        return [position for position in self if position.token_address == token_address]

    def take(self, message: Message) -> None:
        """Apply a message. Those that say nothing of holdings change nothing."""
        match message:
            case Snapshot(positions=positions, seq=seq):
                self._positions = {position.id: position for position in positions}
                self.seq = seq
            case Changed(position=position, seq=seq):
                self._positions[position.id] = position
                self.seq = seq
            case Closed(position_id=position_id, seq=seq):
                self._positions.pop(position_id, None)
                self.seq = seq
            case Prices(updates=updates):
                for update in updates:
                    self._reprice(update)

    def _reprice(self, update: PriceUpdate) -> None:
        if update.pool is not None:
            self._pools[update.token_address] = update.pool
        for position in self._positions.values():
            if position.token_address == update.token_address:
                if update.price_status is not None:
                    position.price_status = update.price_status
                value(position, update, pool=self._pools.get(update.token_address))


def value(
    position: Position, update: PriceUpdate, *, pool: tuple[Decimal | None, Decimal | None] | None = None
) -> None:
    """Set the position's computed fields to what they are at this price."""
    price, held, cost = update.price, position.remaining_amount, position.purchase_price
    with localcontext(EXACT):
        sol_usd = update.price_usd / price if update.price_usd is not None and price else None
        worth = price * held
        profit = position.realized_profit_sol + (price - cost) * held
        position.current_price, position.current_price_usd = price, update.price_usd
        position.price_source = "live"
        position.position_value_sol = worth.quantize(SOL)
        position.profit_loss_sol = profit.quantize(SOL)
        invested = position.total_invested_sol
        position.profit_loss_percent = (profit / invested * 100 if invested else ZERO).quantize(PERCENT)
        position.price_change_percent = ((price - cost) / cost * 100 if cost else ZERO).quantize(PERCENT)
        if sol_usd is not None or update.price_usd is None:
            _in_usd(position, worth, profit, sol_usd)
        position.exit_value_sol = _exit_value(position, pool)


def _in_usd(position: Position, worth: Decimal, profit: Decimal, sol_usd: Decimal | None) -> None:
    if sol_usd is None:
        position.position_value_usd = position.profit_loss_usd = None
        position.purchase_price_usd = position.profit_loss_usd_at_cost = None
        return
    position.position_value_usd = (worth * sol_usd).quantize(USD)
    position.profit_loss_usd = (profit * sol_usd).quantize(USD)
    position.purchase_price_usd = (position.purchase_price * sol_usd).quantize(PRICE)
    if position.cost_usd is not None and position.realized_profit_usd is not None:
        at_cost = worth * sol_usd - position.cost_usd + position.realized_profit_usd
        position.profit_loss_usd_at_cost = at_cost.quantize(USD)


def _exit_value(position: Position, pool: tuple[Decimal | None, Decimal | None] | None) -> Decimal | None:
    if position.price_status == "gone":
        return ZERO
    if pool is None:
        return position.exit_value_sol  # not told yet: to within 1 %, as it was
    tokens, sol = pool
    if tokens is None or sol is None:
        return None
    whole = tokens + position.remaining_amount
    return (sol * position.remaining_amount / whole if whole else ZERO).quantize(SOL)
