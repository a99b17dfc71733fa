"""What a position gains and loses without the market: airdrops and transfers. Like `positions.services.positions`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Unpack
from uuid import UUID

from positions.books import accounting
from positions.books.accounting import ZERO
from positions.books.trades import Side, cost_of
from positions.errors import InvalidAmount
from positions.models import Position
from positions.prices.mint_decimals import decimals_of
from positions.services import booking
from positions.services.booking import write
from positions.services.entries import Terms, make_entry, repeated


@write
def book_airdrop(*, position_id: UUID, tokens: Decimal, **terms: Unpack[Terms]) -> Position:
    """Add `tokens` that the wallet was given: a purchase for 0 SOL. Of a token not held: `open_position`."""
    return _receive(position_id, Side.AIRDROP, tokens, ZERO, terms)


@write
def transfer_in(*, position_id: UUID, tokens: Decimal, cost_sol: Decimal, **terms: Unpack[Terms]) -> Position:
    """Add `tokens` that came from elsewhere, and once cost `cost_sol` SOL. Of a token not held: `open_position`."""
    cost_sol = accounting.sol_of(cost_sol, "cost_sol", positive=False)
    return _receive(position_id, Side.TRANSFER_IN, tokens, cost_sol, terms)


@write
def transfer_out(*, position_id: UUID, tokens: Decimal, **terms: Unpack[Terms]) -> Position:
    """Take away `tokens` that went elsewhere: a sale at cost, without profit. The last of them closes the position."""
    entry = make_entry(Side.TRANSFER_OUT, {"position_id": position_id}, tokens=tokens, sol=ZERO, **terms)
    position = booking.lock(position_id)
    if booked := repeated(entry, position.wallet_id, position):
        return booked
    booking.check_open(position)
    tokens = booking.tokens_to_sell(position, tokens)
    # Stated for who reads the trade; the fold takes what they cost then.
    cost = cost_of(position.holding, tokens)
    trade = booking.book(position, replace(entry, tokens=tokens, sol=cost))
    booking.close_if_empty(position, "transfer out")
    booking.save(position, trade)
    return position


def _receive(position_id: UUID, side: Side, tokens: Decimal, cost_sol: Decimal, terms: Terms) -> Position:
    entry = make_entry(side, {"position_id": position_id}, tokens=tokens, sol=cost_sol, **terms)
    position = booking.lock(position_id)
    if booked := repeated(entry, position.wallet_id, position):
        return booked
    booking.check_open(position)
    tokens = accounting.tokens_of(tokens, "tokens", decimals=decimals_of(position.token_address))
    try:
        trade = booking.book(position, replace(entry, tokens=tokens))
    except InvalidAmount as error:
        if error.field != "spent_sol":
            raise
        # A purchase to the books; whoever transfers has spent nothing.
        raise InvalidAmount(error.message.replace("spent_sol", "cost_sol"), field="cost_sol") from error
    booking.save(position, trade)
    return position
