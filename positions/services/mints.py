"""Migrations: a token's mint or symbol is replaced. Like `positions.services.positions`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from uuid import UUID

from django.db.models import Value

from positions.books import accounting
from positions.books.accounting import PRICE, ZERO, digits
from positions.books.symbols import short_address, symbol_of
from positions.books.trades import Side
from positions.errors import InvalidAmount, PositionsError
from positions.models import Position
from positions.models.positions import price_field
from positions.prices.last_quotes import carry_over
from positions.prices.mint_decimals import decimals_of
from positions.services import booking
from positions.services.booking import write
from positions.services.entries import make_entry, repeated
from positions.services.positions import check_token, make_room, open_in


@write
def migrate_token(
    *,
    position_id: UUID,
    token_address: str | None = None,
    token_symbol: str | None = None,
    ratio: Decimal = Decimal(1),
    transaction_id: str | None = None,
) -> Position:
    """Migrate a position to another mint, another symbol, or both: it keeps its history and its cost.

    `ratio`: how many new tokens each old one became. Amounts are multiplied by it and prices divided by it; what was
    invested and realised stays, in SOL and in USD. One event. Where nothing changes, there is none.

    Raises AlreadyOpen where the wallet holds the new token in another position.
    """
    if token_address is None and token_symbol is None:
        raise PositionsError("token_address or a symbol is required", field="token_address")
    ratio = accounting.price_of(ratio, "ratio")
    if token_address is not None:
        check_token(token_address)
    request = {
        "position_id": position_id,
        "token_address": token_address,
        "token_symbol": token_symbol,
        "ratio": ratio,
    }
    entry = make_entry(Side.MIGRATION, request, tokens=ZERO, sol=ZERO, transaction_id=transaction_id)
    if token_address is not None:
        # Before the lock, as the market price of a sale.
        carry_over(_token_of(position_id), token_address, ratio)
    position = booking.lock(position_id)
    if booked := repeated(entry, position.wallet_id, position):
        return booked
    booking.check_open(position)
    old, new = position.token_address, token_address or position.token_address
    if token_symbol is None:
        token_symbol = "" if position.token_symbol == short_address(old) else position.token_symbol
    symbol = symbol_of(token_symbol, new)
    if new == old:
        if ratio != 1:
            raise PositionsError(
                f"ratio must be 1 where the mint stays {old}, not {digits(ratio)}", field="ratio"
            )
        if symbol != position.token_symbol:
            position.token_symbol = symbol
            position.save()
        return position
    decimals = decimals_of(new)
    make_room(open_in(position.wallet, new), decimals)
    try:
        with localcontext(prec=100):
            tokens = accounting.tokens_of(position.remaining_amount * ratio, "tokens", decimals=decimals)
    except InvalidAmount as error:
        raise InvalidAmount(f"ratio: {error.message}", field="ratio") from error
    position.token_address, position.token_symbol = new, symbol
    cost = accounting.proceeds(tokens=position.remaining_amount, price=position.purchase_price)
    trade = booking.book(position, replace(entry, tokens=tokens, sol=cost))
    _convert(position, ratio, decimals)
    booking.save(position, trade)
    position.refresh_from_db()
    return position


def _convert(position: Position, ratio: Decimal, decimals: int) -> None:
    """Convert the figures that do not follow from the trades into units of the new token."""
    with localcontext(prec=100):
        if position.moon_bag_amount is not None:
            position.moon_bag_amount = (position.moon_bag_amount * ratio).quantize(accounting.unit(decimals))
        for name in ("peak_price", "lowest_price"):
            price = getattr(position, name)
            if price is not None:
                # An expression: a number would only ever widen what is stored (ExtremeField).
                setattr(position, name, Value((price / ratio).quantize(PRICE), price_field()))


def _token_of(position_id: UUID) -> str:
    return Position.objects.values_list("token_address", flat=True).get(pk=position_id)
