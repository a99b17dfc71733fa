"""Which position each trade of a token belongs to, when trades of the past are merged with those already booked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from positions.books import accounting
from positions.books.accounting import digits
from positions.books.trades import Books, Side, apply, balance, cost_of, named
from positions.errors import PositionsError
from positions.models import Trade
from positions.services import booking
from positions.services.trade_lines import AT_COST


class Unfit(Exception):
    """A new trade that makes the trades of its token impossible."""

    line = 0
    """Of the file, once that is known."""

    def __init__(self, trade: Trade, message: str) -> None:
        super().__init__(message)
        self.trade = trade
        self.message = message


@dataclass(slots=True)
class Part:
    """The trades of one position: from the first purchase until nothing is held, or until now."""

    trades: list[Trade] = field(default_factory=list)
    new: list[Trade] = field(default_factory=list)
    positions: dict[UUID, Trade] = field(default_factory=dict)
    """The existing ones, with the first trade of each; one at most, where something is new."""
    books: Books = field(default_factory=Books)
    states: Trade | None = None
    """A new balance or migration."""
    until: int = -1
    """The index of these positions' last trade: the part extends to it, even if nothing is held in between."""

    @property
    def is_over(self) -> bool:
        return bool(self.trades) and not self.books.holding.remaining_amount

    def add(self, trade: Trade, *, is_new: bool, decimals: int) -> None:
        """Raises Unfit."""
        if is_new:
            _complete(trade, self.books, decimals)
            self.new.append(trade)
        elif trade.position_id not in self.positions:
            self.positions[trade.position_id] = trade
        try:
            self.books = apply(self.books, trade)
        except PositionsError as error:
            if is_new or not self.new:
                raise Unfit(trade, error.message) from error
            raise Unfit(
                self.new[-1],
                f"executed_at: the {named(trade)}, which is already booked, would become impossible: {error.message}",
            ) from error
        self.trades.append(trade)
        if not self.new:
            return
        if not is_new and trade.side in booking.STATES_WHAT_IS_HELD:
            raise Unfit(
                self.new[-1],
                f"executed_at: the {named(trade)} states what was held then: nothing can be booked before it",
            )
        if is_new and trade.side in booking.STATES_WHAT_IS_HELD:
            self.states = trade
        if self.states and self.positions:
            raise Unfit(
                self.states, f"side: a {self.states.side} can only come with all trades of its position"
            )
        if len(self.positions) > 1:
            first, *_, last = self.positions.values()
            raise Unfit(
                self.new[-1],
                f"executed_at: the tokens would be held from {first.executed_at.isoformat()} on, until another position"
                f" was opened, with the {named(last)}; a sale between the two is missing",
            )


def split(trades: Sequence[Trade], new: Mapping[UUID, str], decimals: int) -> list[Part]:
    """Split these trades of one wallet and token, which are in order, into positions. Raises Unfit.

    `new`: of each new trade, the name of its position, such as the key that it had where it comes from; "" where that
    is not known. What has the same name stays together.
    """
    names = [new.get(trade.pk, str(trade.position_id)) for trade in trades]
    last = {name: place for place, name in enumerate(names) if name}
    parts, part = [], Part()
    for place, (trade, name) in enumerate(zip(trades, names, strict=True)):
        if part.is_over and place > part.until:
            parts.append(part)
            part = Part()
        part.until = max(part.until, last.get(name, -1))
        part.add(trade, is_new=trade.pk in new, decimals=decimals)
    return [*parts, part]


def _complete(trade: Trade, books: Books, decimals: int) -> None:
    """Complete the trade from what is held: all but dust, or dust more than all, is all; a transfer is at cost."""
    held = books.holding.remaining_amount
    if trade.side in {Side.SALE, Side.TRANSFER_OUT} and accounting.is_dust(
        abs(held - trade.tokens), decimals
    ):
        trade.tokens = held or trade.tokens
    if trade.side == Side.TRANSFER_OUT and trade.tokens > held:
        raise Unfit(trade, f"tokens: {digits(trade.tokens)} to send, {digits(held)} held")
    if trade.side in AT_COST:
        holding = books.holding if trade.figures is None else balance(trade.figures).holding
        trade.sol = cost_of(holding, held if trade.side == Side.MIGRATION else trade.tokens)
