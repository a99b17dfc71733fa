"""Opening positions, buying more, closing, and stop losses. One transaction each; events go out on commit.

All arguments by keyword, all numbers Decimal, rounded to what a wallet can have moved (positions.books.amounts);
what every trade may also state: `entries.Terms`. Each raises a PositionsError that names the invalid argument, its
value and the limit, and then nothing is written. A position is named by its id and read under a lock, so that two
writers never both work from the same old figures.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Unpack
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone

from positions.books import accounting
from positions.books.accounting import ZERO, Holding
from positions.books.numbers import shown
from positions.books.symbols import symbol_of
from positions.books.trades import OPENINGS, Side
from positions.errors import AlreadyOpen, InvalidAmount, PositionsError
from positions.models import LONGEST_ADDRESS, Agent, Position, Wallet, base58, recording
from positions.prices.mint_decimals import decimals_of
from positions.services import booking
from positions.services.booking import write
from positions.services.entries import Terms, check_fee, check_note, make_entry, repeated
from positions.services.market import market_price, proceeds
from positions.services.quotas import check_position
from positions.services.take_profits import begin_plan, check_levels

STOP_LOSS_LOWEST = Decimal(-100)
STOP_LOSS_LIMIT = Decimal(100_000)
MANUAL = "manual"
"""The reason of a closing for which none is given."""


@write
def open_position(
    *,
    wallet: Wallet,
    token_address: str,
    token_symbol: str = "",
    tokens: Decimal,
    spent_sol: Decimal,
    side: Side = Side.PURCHASE,
    stop_loss_percentage: Decimal | None = None,
    take_profit_levels: int | None = None,
    opened_at: datetime | None = None,
    **terms: Unpack[Terms],
) -> Position:
    """Open a position: buy `tokens` of a token that the wallet does not hold, for `spent_sol` SOL.

    The shortened address replaces a symbol that is empty or invisible.
    `side`: how they came, if not by a purchase: an airdrop, for 0 SOL, or a transfer in, whose cost `spent_sol` is.
    `take_profit_levels`: the number of levels of its plan (`positions.services.take_profits`); by default it has none.
    `opened_at`: another name of `executed_at`. Raises AlreadyOpen where the wallet holds the token: that is `buy_more`.
    An open position with nothing but dust left is closed first. Raises QuotaReached (`positions.services.quotas`).
    """
    check_token(token_address)
    if side not in OPENINGS:
        raise PositionsError(f"side must be purchase, airdrop or transfer_in, not {side}", field="side")
    spent_sol = accounting.sol_of(spent_sol, "spent_sol", positive=side is Side.PURCHASE)
    if side is Side.AIRDROP and spent_sol:
        raise InvalidAmount(f"spent_sol of an airdrop must be 0, not {shown(spent_sol)}", field="spent_sol")
    if side is Side.PURCHASE:
        check_fee(terms, spent_sol)
    if stop_loss_percentage is not None:
        stop_loss_percentage = _stop_loss(stop_loss_percentage, "stop_loss_percentage")
    if take_profit_levels is not None:
        check_levels(take_profit_levels, "take_profit_levels", lowest=1)
    if opened_at is not None:
        terms.setdefault("executed_at", opened_at)
    request = {
        "wallet": wallet.pk,
        "token_address": token_address,
        "token_symbol": token_symbol,
        "stop_loss_percentage": stop_loss_percentage,
        "take_profit_levels": take_profit_levels,
    }
    entry = make_entry(side, request, tokens=tokens, sol=spent_sol, **terms)
    decimals = decimals_of(token_address)
    tokens = accounting.tokens_of(tokens, "tokens", decimals=decimals)
    # The agent's lock makes this check final: every write through the ORM takes it (see positions.models.recording).
    # (no_key: adding a wallet to the agent need not wait.)
    agents = Agent.objects.select_related("owner__quota").select_for_update(of=("self",), no_key=True)
    owner = agents.get(pk=wallet.agent_id).owner
    held = open_in(wallet, token_address)
    if booked := repeated(entry, wallet.pk, held):
        return booked
    make_room(held, decimals)
    check_position(owner, token_address)
    position = Position(
        agent_id=wallet.agent_id,
        wallet=wallet,
        token_address=token_address,
        token_symbol=symbol_of(token_symbol, token_address),
        purchase_transaction_id=entry.transaction_id,
    )
    trade = booking.book(position, replace(entry, tokens=tokens))
    position.created_at = trade.executed_at
    if stop_loss_percentage is not None:
        position.current_stop_loss_percentage = stop_loss_percentage
        position.last_stop_loss_update = position.created_at
    begin_plan(position, take_profit_levels)
    booking.save(position, trade, new=True)
    return position


@write
def buy_more(
    *,
    position_id: UUID,
    tokens: Decimal,
    spent_sol: Decimal,
    take_profit_levels: int | None = None,
    **terms: Unpack[Terms],
) -> Position:
    """Average down (DCA): buy `tokens` more of what the position holds, for `spent_sol` SOL.

    `take_profit_levels`: another plan of so many levels begins; by default the one that there is goes on.
    """
    spent_sol = accounting.sol_of(spent_sol, "spent_sol", positive=True)
    check_fee(terms, spent_sol)
    if take_profit_levels is not None:
        check_levels(take_profit_levels, "take_profit_levels", lowest=1)
    request = {"position_id": position_id, "take_profit_levels": take_profit_levels}
    entry = make_entry(Side.PURCHASE, request, tokens=tokens, sol=spent_sol, **terms)
    position = booking.lock(position_id)
    if booked := repeated(entry, position.wallet_id, position):
        return booked
    booking.check_open(position)
    tokens = accounting.tokens_of(tokens, "tokens", decimals=decimals_of(position.token_address))
    accounting.buy(Holding(), tokens=tokens, spent_sol=spent_sol)
    trade = booking.book(position, replace(entry, tokens=tokens))
    booking.note_purchases(position, [trade])
    if take_profit_levels is not None:
        begin_plan(position, take_profit_levels)
    booking.save(position, trade)
    return position


@write
def move_stop_loss(
    *,
    position_id: UUID,
    percentage: Decimal | None,
    peak_price: Decimal | None = None,
    note: str | None = None,
) -> Position:
    """Set the stop loss, in percent of the average cost: -20 sells 20 % below it, 5 sells 5 % above it.

    None removes it, and the time of its last update with it. `peak_price`: a price that the caller has seen, which
    counts where it is above the position's. `note`: why it is moved or removed.
    """
    check_note(note)
    if percentage is not None:
        percentage = _stop_loss(percentage, "percentage")
    position = booking.lock(position_id)
    booking.check_open(position)
    position.current_stop_loss_percentage = percentage
    position.last_stop_loss_update = None if percentage is None else timezone.now()
    if peak_price is not None:
        peak_price = accounting.price_of(peak_price, "peak_price")
        position.peak_price = max(position.peak_price or peak_price, peak_price)
    recording.say_why(position, note)
    position.save()
    return position


@write
def close_position(
    *,
    position_id: UUID,
    proceeds_sol: Decimal | None = None,
    reason: str = MANUAL,
    held_amount: Decimal | None = None,
    **terms: Unpack[Terms],
) -> Position:
    """Sell all that is left for `proceeds_sol` SOL; without it, at the market price.

    Raises PriceUnknown where that is needed and not `live`: a sale at any other price would invent money.
    `held_amount`: how much the seller has seen to be held. Raises HoldingChanged where it is another amount by now.
    """
    if not 1 <= len(reason) <= 200:
        raise PositionsError(f"reason must have 1 to 200 characters; it has {len(reason)}", field="reason")
    if proceeds_sol is not None:
        proceeds_sol = accounting.sol_of(proceeds_sol, "proceeds_sol", positive=False)
    request = {"verb": "close", "position_id": position_id, "proceeds_sol": proceeds_sol, "reason": reason}
    # What is left, and what it brings at the market, is known under the lock.
    entry = make_entry(Side.SALE, request, tokens=ZERO, sol=ZERO, **terms)
    market = market_price(position_id, entry) if proceeds_sol is None else None
    position = booking.lock(position_id)
    if booked := repeated(entry, position.wallet_id, position):
        return booked
    booking.check_open(position)
    booking.check_held(position, held_amount)
    proceeds_sol = proceeds(proceeds_sol, market, position.remaining_amount)
    trade = None
    if position.remaining_amount:
        entry = replace(entry, tokens=position.remaining_amount, sol=proceeds_sol)
        trade = booking.book(position, entry)
    booking.note_sales(position, [entry.transaction_id])
    booking.mark_closed(position, reason)
    booking.save(position, trade, note=None if reason == MANUAL else reason)
    return position


def make_room(held: Position | None, decimals: int) -> None:
    """Close the position that blocks another, where it has only dust left. Raises AlreadyOpen."""
    if held and not accounting.is_dust(held.remaining_amount, decimals):
        raise AlreadyOpen(
            f"{held.wallet_address} already has an open position in {held.token_address}",
            field="token_address",
        )
    if held:
        close_position(position_id=held.pk, proceeds_sol=ZERO, reason="nothing left")


def open_in(wallet: Wallet, token_address: str) -> Position | None:
    """Return the open position of a wallet in a token, if there is one."""
    return Position.objects.open().filter(wallet=wallet, token_address=token_address).first()


def check_token(token_address: str) -> None:
    if len(token_address) > LONGEST_ADDRESS:
        raise PositionsError(
            f"token_address must have at most {LONGEST_ADDRESS} characters; it has {len(token_address)}",
            field="token_address",
        )
    try:
        base58(token_address)
    except ValidationError as error:
        raise PositionsError(f"token_address: {error.messages[0]}", field="token_address") from error


def _stop_loss(percentage: Any, name: str) -> Decimal:
    """Return the percentage as its column has it. Raises InvalidAmount."""
    if not isinstance(percentage, Decimal):
        raise InvalidAmount(f"{name} must be a Decimal, not {type(percentage).__name__}", field=name)
    # Compared, which takes any exponent: abs() and quantize() do not.
    near = percentage.is_finite() and -STOP_LOSS_LIMIT <= percentage <= STOP_LOSS_LIMIT
    rounded = percentage.quantize(Decimal("0.0001")) if near else STOP_LOSS_LIMIT
    if not STOP_LOSS_LOWEST <= rounded < STOP_LOSS_LIMIT:
        raise InvalidAmount(
            f"{name} must be at least {STOP_LOSS_LOWEST} and below {STOP_LOSS_LIMIT}, not {shown(percentage)}",
            field=name,
        )
    return rounded
