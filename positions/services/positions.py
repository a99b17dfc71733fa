"""Every write to a position that this project makes. One transaction each; the event is sent on commit.

All arguments by keyword, all numbers Decimal, rounded to what a wallet can have moved (positions.books.accounting).
Each raises a PositionsError that names the invalid argument, its value and the limit, and then nothing is written. A
position is named by its id and read under a lock, so that two writers never both work from the same old figures.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from positions.books import accounting
from positions.books.accounting import Holding
from positions.books.numbers import shown
from positions.books.symbols import symbol_of
from positions.errors import AlreadyOpen, InvalidAmount, PositionClosed, PositionsError, PriceUnknown
from positions.models import Agent, Position, Wallet, base58
from positions.prices.last_quotes import newest_prices
from positions.prices.quotes import Quote

P = ParamSpec("P")
R = TypeVar("R")

TRANSACTION_ID_LENGTH = 128
STOP_LOSS_LOWEST = Decimal(-100)
STOP_LOSS_LIMIT = Decimal(100_000)


def write(function: Callable[P, R]) -> Callable[P, R]:
    """Run a service in one transaction."""

    @wraps(function)
    def in_transaction(*args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic():
            return function(*args, **kwargs)

    return in_transaction


@write
def open_position(
    *,
    wallet: Wallet,
    token_address: str,
    token_symbol: str = "",
    tokens: Decimal,
    spent_sol: Decimal,
    transaction_id: str | None = None,
    stop_loss_percentage: Decimal | None = None,
    opened_at: datetime | None = None,
) -> Position:
    """Open a position: buy `tokens` of a token that the wallet does not hold, for `spent_sol` SOL.

    The short address stands in for a symbol that is empty or invisible.
    Raises AlreadyOpen where it does: that is `buy_more`. An open position with nothing but dust left is closed first.
    """
    try:
        base58(token_address)
    except ValidationError as error:
        raise PositionsError(f"token_address: {error.messages[0]}", field="token_address") from error
    if len(token_address) > 64:
        raise PositionsError(
            f"token_address must have at most 64 characters, not {len(token_address)}", field="token_address"
        )
    _check_transaction_id(transaction_id)
    tokens, spent_sol = _bought(tokens, spent_sol)
    holding = accounting.buy(Holding(), tokens=tokens, spent_sol=spent_sol)
    position = Position(
        agent_id=wallet.agent_id,
        wallet=wallet,
        token_address=token_address,
        token_symbol=symbol_of(token_symbol, token_address),
        purchase_transaction_id=transaction_id,
        peak_price=holding.purchase_price,
        lowest_price=holding.purchase_price,
        created_at=opened_at or timezone.now(),
    )
    position.holding = holding
    if stop_loss_percentage is not None:
        _set_stop_loss(position, stop_loss_percentage, "stop_loss_percentage", position.created_at)
    # The agent's lock makes this check final: every write through the ORM takes it (see positions.models.recording).
    Agent.objects.select_for_update().get(pk=wallet.agent_id)
    held = Position.objects.open().filter(wallet=wallet, token_address=token_address).first()
    if held and not accounting.is_dust(held.remaining_amount):
        raise AlreadyOpen(
            f"{wallet.address} already has an open position in {token_address}", field="token_address"
        )
    if held:
        close_position(position_id=held.pk, proceeds_sol=Decimal(0), reason="nothing left")
    position.save(force_insert=True)
    return position


@write
def buy_more(
    *, position_id: UUID, tokens: Decimal, spent_sol: Decimal, transaction_id: str | None = None
) -> Position:
    """Average down (DCA): buy `tokens` more of what the position holds, for `spent_sol` SOL."""
    _check_transaction_id(transaction_id)
    tokens, spent_sol = _bought(tokens, spent_sol)
    position = _lock_open(position_id)
    paid = accounting.buy(Holding(), tokens=tokens, spent_sol=spent_sol).purchase_price
    position.holding = accounting.buy(position.holding, tokens=tokens, spent_sol=spent_sol)
    position.dca_count += 1
    position.last_dca_time = timezone.now()
    position.lowest_price = min(position.lowest_price or paid, paid)
    if transaction_id is not None:
        position.dca_transaction_ids = [*position.dca_transaction_ids, transaction_id]
    position.save()
    return position


@write
def take_profit(
    *,
    position_id: UUID,
    tokens: Decimal,
    proceeds_sol: Decimal,
    transaction_id: str | None = None,
    moon_bag: bool = False,
) -> Position:
    """Sell `tokens` for `proceeds_sol` SOL. With `moon_bag`, the rest is marked as kept for the long run.

    Selling all that is left closes the position: all but dust, or dust more than all, is all.
    """
    _check_transaction_id(transaction_id)
    proceeds_sol = accounting.sol_of(proceeds_sol, "proceeds_sol", positive=False)
    position = _lock_open(position_id)
    tokens = accounting.tokens_to_sell(tokens, "tokens", held=position.remaining_amount)
    position.holding = accounting.sell(position.holding, tokens=tokens, proceeds_sol=proceeds_sol)
    position.take_profit_levels_hit += 1
    position.last_take_profit_time = timezone.now()
    if transaction_id is not None:
        position.take_profit_transaction_ids = [*position.take_profit_transaction_ids, transaction_id]
    if moon_bag and position.remaining_amount:
        position.moon_bag_activated = True
        position.moon_bag_amount = position.remaining_amount
    if not position.remaining_amount:
        _mark_closed(position, "take profit")
    position.save()
    return position


@write
def move_stop_loss(
    *, position_id: UUID, percentage: Decimal | None, peak_price: Decimal | None = None
) -> Position:
    """Set the stop loss, in percent of the average cost: -20 sells 20 % below it, 5 sells 5 % above it.

    None removes it, and the time of its last update with it.
    """
    position = _lock_open(position_id)
    if percentage is None:
        position.current_stop_loss_percentage = position.last_stop_loss_update = None
    else:
        _set_stop_loss(position, percentage, "percentage", timezone.now())
    if peak_price is not None:
        position.peak_price = accounting.price_of(peak_price, "peak_price")
    position.save()
    return position


@write
def close_position(
    *,
    position_id: UUID,
    proceeds_sol: Decimal | None = None,
    reason: str = "manual",
    transaction_id: str | None = None,
) -> Position:
    """Sell all that is left for `proceeds_sol` SOL; without it, at the market price.

    Raises PriceUnknown where that is needed and not `live`: a sale at any other price would invent money.
    """
    if not 1 <= len(reason) <= 200:
        raise PositionsError("reason must have 1 to 200 characters", field="reason")
    _check_transaction_id(transaction_id)
    if proceeds_sol is not None:
        proceeds_sol = accounting.sol_of(proceeds_sol, "proceeds_sol", positive=False)
    # Before the lock: a price cache that hangs must not hold up the agent's other writers.
    quote = _market_price(position_id) if proceeds_sol is None else None
    position = _lock_open(position_id)
    if quote is not None:
        proceeds_sol = accounting.proceeds(tokens=position.remaining_amount, price=quote.price)
    if position.remaining_amount and proceeds_sol is not None:
        position.holding = accounting.sell(
            position.holding, tokens=position.remaining_amount, proceeds_sol=proceeds_sol
        )
    if transaction_id is not None:
        position.take_profit_transaction_ids = [*position.take_profit_transaction_ids, transaction_id]
    _mark_closed(position, reason)
    position.save()
    return position


def _lock_open(position_id: UUID) -> Position:
    """Return the position, locked until the transaction ends, its agent first (see positions.models.recording)."""
    agent_id = Position.objects.values_list("agent_id", flat=True).get(pk=position_id)
    Agent.objects.select_for_update().get(pk=agent_id)
    position = Position.objects.select_for_update().get(pk=position_id)
    if position.status != Position.Status.OPEN:
        raise PositionClosed(f"position {position_id} is closed")
    return position


def _bought(tokens: Decimal, spent_sol: Decimal) -> tuple[Decimal, Decimal]:
    return accounting.tokens_of(tokens, "tokens"), accounting.sol_of(spent_sol, "spent_sol", positive=True)


def _set_stop_loss(position: Position, percentage: Any, name: str, now: datetime) -> None:
    if not isinstance(percentage, Decimal):
        raise InvalidAmount(f"{name} must be a Decimal, not {type(percentage).__name__}", field=name)
    # A number far out of range has more digits than quantize() takes.
    near = percentage.is_finite() and abs(percentage) <= STOP_LOSS_LIMIT
    rounded = percentage.quantize(Decimal("0.0001")) if near else STOP_LOSS_LIMIT
    if not STOP_LOSS_LOWEST <= rounded < STOP_LOSS_LIMIT:
        raise InvalidAmount(
            f"{name} must be at least {STOP_LOSS_LOWEST} and below {STOP_LOSS_LIMIT}, not {shown(percentage)}",
            field=name,
        )
    position.current_stop_loss_percentage = rounded
    position.last_stop_loss_update = now


def _mark_closed(position: Position, reason: str) -> None:
    position.status = Position.Status.CLOSED
    position.closed_at = timezone.now()
    position.close_reason = reason


def _check_transaction_id(transaction_id: str | None) -> None:
    if transaction_id is not None and not (
        1 <= len(transaction_id) <= TRANSACTION_ID_LENGTH and transaction_id.isprintable()
    ):
        raise PositionsError(
            f"transaction_id must have 1 to {TRANSACTION_ID_LENGTH} printable characters",
            field="transaction_id",
        )


def _market_price(position_id: UUID) -> Quote:
    address, symbol = Position.objects.values_list("token_address", "token_symbol").get(pk=position_id)
    prices = newest_prices([address])
    quote = prices.quotes.get(address)
    problem = ""
    if prices.errors:
        problem = "the price cache cannot be reached"
    elif quote is None:
        problem = f"no market price of {symbol} is known"
    elif quote.status != "live":
        problem = f"the price of {symbol} is {quote.status} and {_age(quote)} old"
    if problem or quote is None:
        raise PriceUnknown(f"{problem}: proceeds are required", field="proceeds_sol")
    return quote


def _age(quote: Quote) -> str:
    seconds = max(0.0, (timezone.now() - quote.priced_at).total_seconds())
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
