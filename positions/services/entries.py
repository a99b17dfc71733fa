"""What a trade that is to be booked says: which terms it may have, what is checked, and whether it was booked already.

What it makes of its position: `positions.services.booking`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from hashlib import sha256
from typing import Any, TypedDict

from django.utils import timezone

from positions.books import accounting
from positions.books.accounting import ZERO, digits
from positions.books.numbers import shown
from positions.books.trades import Side, check_rate
from positions.errors import InvalidAmount, PositionsError, TransactionIdTaken
from positions.models import LONGEST_NOTE, Position, Trade, Wallet
from positions.services.sol_price import sol_in_usd

TRANSACTION_ID_LENGTH = 128
LEEWAY = timedelta(minutes=1)
"""How far the clock of a bot, or a block's time, may be ahead."""
EARLIEST = datetime(2020, 3, 16, tzinfo=UTC)
"""When Solana's first block was made."""
LATE = timedelta(minutes=5)
"""After that, the price of SOL now is not the one of then."""
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


def make_entry(
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
    """Return the trade with its terms checked. Raises PositionsError.

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


def check_note(note: str | None) -> None:
    if note is not None and not (1 <= len(note) <= LONGEST_NOTE and "\x00" not in note):
        raise PositionsError(
            f"note must have 1 to {LONGEST_NOTE} characters, none of them NUL; it has {len(note)}",
            field="note",
        )


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
    """Whether the entry repeats a reconstructed trade, of whose request only these figures are known."""
    return (booked.side, booked.tokens, booked.sol) == (entry.side.value, entry.tokens, entry.sol)
