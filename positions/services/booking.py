"""Booking trades: what every one of them says, whether it was booked already, and what it makes of its position.

A trade that comes last in time is applied to the stored figures. One that is booked late (`executed_at` before
another's) has all of the position's trades folded again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from functools import wraps
from hashlib import sha256
from typing import Any, ParamSpec, TypedDict, TypeVar
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from positions.books import accounting
from positions.books.accounting import ZERO, digits
from positions.books.numbers import shown
from positions.books.trades import Books, Side, apply, check_rate, cost_of, fold
from positions.errors import InvalidAmount, PositionClosed, PositionsError, TransactionIdTaken
from positions.models import Agent, Position, Trade, Wallet
from positions.models.recording import State, save_locked
from positions.prices.mint_decimals import decimals_of
from positions.services.sol_price import sol_in_usd

P = ParamSpec("P")
R = TypeVar("R")

TRANSACTION_ID_LENGTH = 128
LEEWAY = timedelta(minutes=1)
"""How far the clock of a bot, or a block's time, may be ahead."""
EARLIEST = datetime(2020, 3, 16, tzinfo=UTC)
"""When Solana's first block was made."""
LATE = timedelta(minutes=5)
"""After that, the price of SOL now is not the one of then."""
TICK = timedelta(microseconds=1)
STATES_WHAT_IS_HELD = {Side.BALANCE, Side.MIGRATION}
_AS_GIVEN = Context(prec=100, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


class Terms(TypedDict, total=False):
    """What every service that books a trade takes, all of it optional."""

    transaction_id: str | None
    """Once in a wallet: the same request again books nothing, and returns the position as it is."""
    fee_sol: Decimal | None
    """Fees: part of what was spent, or deducted from the proceeds."""
    executed_at: datetime | None
    """By default now. May be before trades that are already booked, as long as no more was sold than was held."""
    sol_usd: Decimal | None
    """SOL in USD at that moment; that of the price cache for a trade of the last minutes, otherwise unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A trade that is to be booked: checked, except for what needs the position's figures."""

    side: Side
    tokens: Decimal
    sol: Decimal
    fee_sol: Decimal
    sol_usd: Decimal | None
    transaction_id: str | None
    content: str | None
    """A digest of the whole request: distinguishes a repeat from another request with the same transaction id."""
    given_executed_at: datetime | None
    """None: now."""


def write(function: Callable[P, R]) -> Callable[P, R]:
    """Run a service in one transaction."""

    @wraps(function)
    def in_transaction(*args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic():
            return function(*args, **kwargs)

    return in_transaction


def entry(
    side: Side,
    request: Mapping[str, Any],
    *,
    tokens: Decimal,
    sol: Decimal,
    transaction_id: str | None = None,
    fee_sol: Decimal | None = None,
    executed_at: datetime | None = None,
    sol_usd: Decimal | None = None,
) -> Entry:
    """Check the terms of a trade. Raises PositionsError.

    `request`: what else was asked for, so that the same again is known. `tokens`: as they were given; what is booked is
    rounded to the mint's decimals, which may become known between a request and its repeat. Where `sol_usd` is not
    given, a trade of this moment has that of the price cache: one GET, before any lock, since a cache that hangs must
    not delay other writers.
    """
    check_transaction_id(transaction_id)
    fee_sol = ZERO if fee_sol is None else fee_sol
    fee_sol = accounting.sol_of(fee_sol, "fee_sol", positive=False)
    now = timezone.now()
    if executed_at is not None:
        check_executed_at(executed_at, now)
    given: dict[str, Any] = {"tokens": tokens, "sol": sol, "fee_sol": fee_sol, "executed_at": executed_at}
    if sol_usd is not None:
        sol_usd = check_rate(sol_usd)
        given["sol_usd"] = sol_usd
    elif executed_at is None or now - executed_at <= LATE:
        sol_usd = sol_in_usd()
    return Entry(
        side=side,
        tokens=tokens,
        sol=sol,
        fee_sol=fee_sol,
        sol_usd=sol_usd,
        transaction_id=transaction_id,
        content=None if transaction_id is None else _content(side, {**given, **request}),
        given_executed_at=executed_at,
    )


def check_fee(terms: Terms, sol: Decimal) -> None:
    """Raise InvalidAmount where a fee is more than the sum that it is part of."""
    fee_sol = terms.get("fee_sol")
    if fee_sol is not None:
        fee_sol = accounting.sol_of(fee_sol, "fee_sol", positive=False)
        if fee_sol > sol:
            raise InvalidAmount(
                f"fee_sol must be at most {digits(sol)}, the sum that it is part of, not {digits(fee_sol)}",
                field="fee_sol",
            )


def check_transaction_id(transaction_id: str | None) -> None:
    if transaction_id is not None and not (
        1 <= len(transaction_id) <= TRANSACTION_ID_LENGTH and transaction_id.isprintable()
    ):
        raise PositionsError(
            f"transaction_id must have 1 to {TRANSACTION_ID_LENGTH} printable characters;"
            f" {shown(transaction_id)} has {len(transaction_id)}",
            field="transaction_id",
        )


def lock(position_id: UUID) -> Position:
    """Return the position, its agent locked until the transaction ends: no other writer then changes it (see
    positions.models.recording). Two statements.
    """
    owners = Agent.objects.select_for_update(of=("self",)).only("pk").order_by()
    while True:
        owner = list(owners.filter(positions=position_id))
        position = Position.objects.get(pk=position_id)
        if owner and owner[0].pk == position.agent_id:  # not handed over while we waited
            return position


def tokens_to_sell(position: Position, tokens: Decimal) -> Decimal:
    """Return how many of the tokens held `tokens` are, in units of their mint: all of them, to within dust."""
    decimals = decimals_of(position.token_address)
    return accounting.tokens_to_sell(
        tokens,
        "tokens",
        held=position.remaining_amount,
        bought=position.purchase_amount,
        trades=1 + position.dca_count + position.take_profit_levels_hit,
        decimals=decimals,
    )


def check_open(position: Position) -> None:
    if position.status != Position.Status.OPEN:
        raise PositionClosed(f"position {position.pk} is closed")


def repeated(entry: Entry, wallet_id: str, position: Position | None) -> Position | None:
    """Return the position whose trade this request has booked before, None where it has not. Under the agent's lock.

    `position`: the one that the request is about, if it exists. Raises TransactionIdTaken where the wallet has booked
    something else under that id.
    """
    if entry.transaction_id is None:
        return None
    known = Trade.objects.filter(wallet_id=wallet_id, transaction_id=entry.transaction_id).order_by()
    if not known.exists():
        # Booked by a server of the release before, during an update: of its content nothing is known.
        return position if position and entry.transaction_id in position.transaction_ids else None
    booked = known.select_related("position").get()
    if booked.content == entry.content or (booked.content is None and _same(booked, entry)):
        return booked.position
    raise TransactionIdTaken(
        f"transaction_id: this wallet has booked it already, with other content: {booked.side.replace('_', ' ')}"
        f" of {digits(booked.tokens)} {booked.position.token_symbol}",
        field="transaction_id",
    )


def book(position: Position, entry: Entry) -> Trade:
    """Apply the trade to the position's figures; `save` then writes both. The position is locked, or new.

    Raises InvalidAmount, NotEnoughTokens, or ImpossibleTrade where a late one makes a later one impossible.
    """
    if not position._state.adding:
        mend(position)
    last, now = position.last_trade_at, timezone.now()
    executed_at = entry.given_executed_at
    if executed_at is None:
        # The newest, also where the clock of the server that booked the one before was ahead.
        executed_at = now if last is None else max(now, last + TICK)
    trade = Trade(
        wallet_id=position.wallet_id,
        position=position,
        side=entry.side,
        tokens=entry.tokens,
        sol=entry.sol,
        fee_sol=entry.fee_sol,
        sol_usd=entry.sol_usd,
        transaction_id=entry.transaction_id,
        content=entry.content,
        executed_at=executed_at,
        recorded_at=now,
    )
    if last is None or executed_at > last:
        position.books = apply(Books() if last is None else position.books, trade)
        position.last_trade_at = executed_at
    else:
        position.books = _refold(position, trade)
        position.created_at = min(position.created_at, executed_at)
    widen_extremes(position, trade)
    return trade


def widen_extremes(position: Position, trade: Trade) -> None:
    """Let the price of a purchase or a sale, without its fee, count among the highest and lowest."""
    if trade.side not in (Side.PURCHASE, Side.SALE):
        return
    price = accounting.price_paid(
        tokens=trade.tokens,
        sol=trade.sol - trade.fee_sol if trade.side == Side.PURCHASE else trade.sol + trade.fee_sol,
    )
    if price:
        peak, lowest = position.peak_price, position.lowest_price
        position.peak_price = price if peak is None else max(peak, price)
        position.lowest_price = price if lowest is None else min(lowest, price)  # which may be 0


def close_if_empty(position: Position, reason: str) -> None:
    if not position.remaining_amount:
        mark_closed(position, reason)


def mark_closed(position: Position, reason: str) -> None:
    """Close the position when its newest trade was executed."""
    position.status = Position.Status.CLOSED
    position.closed_at = position.last_trade_at or timezone.now()
    position.close_reason = reason


def save(position: Position, trade: Trade | None, *, new: bool = False) -> None:
    """Write the position, which was open, with its event, and the trade. Under the agent's lock."""
    save_locked(position, None if new else State(position.agent_id, is_open=True), new=new)
    if trade:
        trade.save(force_insert=True)
        position.booked_trade_id = trade.pk


def mend(position: Position) -> Trade | None:
    """Book a balance where the row's figures are not those that its trades led to; return it. Under the agent's lock.

    A server of the previous release wrote such figures during an update, or code that bypasses the services. They are
    kept; what they cost in USD is no longer known.
    """
    if position.last_trade_at is not None and position.books_digest == position.books.digest:
        return None
    trade = balance_of(position)
    trade.save(force_insert=True)
    return trade


def balance_of(position: Position, *, reconstructed: bool = True) -> Trade:
    """Return a balance that states the position's figures, and give its row what follows from it. Saves neither."""
    moments = [position.created_at, position.last_dca_time, position.last_take_profit_time]
    if position.last_trade_at is not None:
        moments.append(position.last_trade_at + TICK)
    moment = max(filter(None, moments))
    books = replace(position.books, cost_usd=None, realized_profit_usd=None)
    position.books, position.last_trade_at = books, moment
    return Trade(
        wallet_id=position.wallet_id,
        position=position,
        side=Side.BALANCE,
        tokens=position.remaining_amount,
        sol=cost_of(books.holding, position.remaining_amount),
        figures=books.figures,
        executed_at=moment,
        reconstructed=reconstructed,
    )


def _refold(position: Position, trade: Trade) -> Books:
    """Return what the position's trades lead to with this one among them."""
    trades = list(Trade.objects.filter(position=position).order_by("executed_at", "recorded_at"))
    for later in trades:
        if later.side in STATES_WHAT_IS_HELD and later.executed_at >= trade.executed_at:
            raise PositionsError(
                f"executed_at: a {later.side} of {later.executed_at.isoformat()} states what was held then:"
                " nothing can be booked before it",
                field="executed_at",
            )
    # Among equal times in the order of their booking, whatever the clocks of two servers say.
    newest = max((each.recorded_at for each in trades), default=trade.recorded_at)
    trade.recorded_at = max(trade.recorded_at, newest + TICK)
    trades.append(trade)
    trades.sort(key=lambda each: (each.executed_at, each.recorded_at))
    return fold(trades)


def check_executed_at(executed_at: Any, now: datetime) -> None:
    problem = None
    if not isinstance(executed_at, datetime) or executed_at.tzinfo is None:
        problem = "be a time with its zone"
    elif executed_at > now + LEEWAY:
        problem = f"not be in the future; it is {now.isoformat(timespec='seconds')} now"
    elif executed_at < EARLIEST:
        problem = f"be {EARLIEST.date().isoformat()}, when Solana began, or later"
    if problem:
        given = executed_at.isoformat() if isinstance(executed_at, datetime) else shown(executed_at)
        raise PositionsError(f"executed_at must {problem}, not {given}", field="executed_at")


def _content(side: Side, request: Mapping[str, Any]) -> str:
    """Return a digest that is the same for the same request, however its numbers and times are written."""
    lines = [
        side.value,
        *(f"{name}={_plain(value)!r}" for name, value in sorted(request.items()) if value is not None),
    ]
    return sha256("\n".join(lines).encode()).hexdigest()


def _plain(value: Any) -> str:
    match value:
        case Decimal():
            return str(value.normalize(_AS_GIVEN))  # not its digits: an exponent may be huge
        case datetime():
            return value.astimezone(UTC).isoformat()
        case Wallet():
            return value.address
    return str(value)


def _same(booked: Trade, entry: Entry) -> bool:
    """Whether a reconstructed trade, of whose request nothing more is known, is the one of this entry."""
    return (booked.side, booked.tokens, booked.sol) == (entry.side.value, entry.tokens, entry.sol)
