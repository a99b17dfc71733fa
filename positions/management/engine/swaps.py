"""The engine's transactions as trades: what left the wallet and reached it, fees included.

The engine has the SOL of a swap without fees, and these beside it. Its swaps in simulated wallets take no protocol fee
from a purchase, but do from a sale: so do these, and so the sums come out as the engine has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from positions.books.accounting import SOL, ZERO
from positions.books.quotes import WRAPPED_SOL
from positions.books.trades import RATE_LIMIT, USD_STORED, Side
from positions.management.engine.records import Problem, TransactionRow
from positions.management.engine.tables import TRANSACTIONS
from positions.models import Mode


@dataclass(slots=True, kw_only=True)
class Swap:
    """A trade of the export, or one that makes up for what is not in it."""

    table: str
    row: int
    engines_id: str
    """Of its transaction; "" of what is none."""
    transaction_id: str | None
    """Here: the signature where there is one, otherwise the engine's id."""
    wallet: str
    token: str
    symbol: str
    side: Side
    tokens: Decimal
    sol: Decimal
    fee_sol: Decimal = ZERO
    sol_usd: Decimal | None = None
    time: datetime
    story: str = ""
    """The name of its position."""
    figures: Mapping[str, Any] | None = None


class NoSwap(Exception):
    """A transaction that moves no token into or out of a position; the message says what it is."""


def swaps_of(
    rows: Iterable[TransactionRow], kinds: Mapping[str, str], problems: list[Problem]
) -> tuple[list[Swap], Counter[str]]:
    """Return the trades that these transactions are, and how many are none, by what they are.

    `kinds`: of each wallet, whether its money is live.
    """
    found: list[Swap] = []
    none: Counter[str] = Counter()
    seen: dict[tuple[str, str | None], int] = {}
    for row in rows:
        try:
            swaps = list(_swaps(row, is_live=kinds.get(row.wallet) == Mode.LIVE))
        except NoSwap as error:
            none[str(error)] += 1
            continue
        except ValueError as error:
            problems.append(Problem(TRANSACTIONS.name, row.row, str(error)))
            continue
        for swap in swaps:
            before = seen.setdefault((swap.wallet, swap.transaction_id), row.row)
            if before != row.row:
                problem = f"transaction_hash: row {before} has it already, in the same wallet"
                problems.append(Problem(TRANSACTIONS.name, row.row, problem))
        found += swaps
    return found, none


def _swaps(row: TransactionRow, *, is_live: bool) -> Iterator[Swap]:
    """Raises NoSwap, or ValueError where something is missing."""
    source, target = row.mints
    protocol, network = row.protocol_fee_sol, row.network_fee_sol
    match row.kind.upper():
        case "SWAP":
            if source is None or target is None:
                raise ValueError(f"{'input' if source is None else 'output'}_mint is missing")
            if source == target:
                raise NoSwap("swaps of a token for itself")
            if source == WRAPPED_SOL:
                fees = network + (protocol if is_live else ZERO)
                spent = _amount(row, 0)
                yield _swap(row, 1, Side.PURCHASE, sol=spent + fees, fee=fees, rate=_rate(row, spent))
            elif target == WRAPPED_SOL:
                brought = _amount(row, 1)
                net = max(ZERO, brought - protocol - network)
                yield _swap(row, 0, Side.SALE, sol=net, fee=protocol + network, rate=_rate(row, brought))
            else:
                worth, fees = _worth(row), protocol + network
                rate = _rate(row, worth)
                yield _swap(row, 0, Side.SALE, sol=worth, rate=rate, suffix=":sale")
                yield _swap(row, 1, Side.PURCHASE, sol=worth + fees, fee=fees, rate=rate, suffix=":purchase")
        case "BURN" | "DEPOSIT" as kind:
            if source in (None, WRAPPED_SOL):
                raise NoSwap(f"{kind.lower()}s of SOL")
            yield _swap(row, 0, Side.SALE if kind == "BURN" else Side.TRANSFER_IN, sol=ZERO)
        case other:
            raise ValueError(f"transaction_type must be SWAP, DEPOSIT or BURN, not {other}")


def _swap(
    row: TransactionRow,
    part: int,
    side: Side,
    *,
    sol: Decimal,
    fee: Decimal = ZERO,
    rate: Decimal | None = None,
    suffix: str = "",
) -> Swap:
    token = row.mints[part]
    assert token is not None  # noqa: S101  the caller has looked
    return Swap(
        table=TRANSACTIONS.name,
        row=row.row,
        engines_id=row.id,
        transaction_id=(row.hash or row.id) + suffix,
        wallet=row.wallet,
        token=token,
        symbol=row.symbols[part] or "",
        side=side,
        tokens=_amount(row, part),
        sol=rounded(sol),
        fee_sol=rounded(fee),
        sol_usd=rate,
        time=row.time,
    )


def _amount(row: TransactionRow, part: int) -> Decimal:
    amount = row.amounts[part]
    if amount is None:
        raise ValueError(f"{('input', 'output')[part]}_amount is missing")
    return amount


def _worth(row: TransactionRow) -> Decimal:
    """Return the SOL that a swap of one token for another was worth, by the price of either."""
    for amount, price in zip(row.amounts, row.prices, strict=True):
        if amount is not None and price:
            with localcontext(prec=80):
                return amount * price
    raise ValueError("input_price and output_price are missing: what the swap was worth in SOL is not known")


def _rate(row: TransactionRow, sol: Decimal) -> Decimal | None:
    """Return SOL in USD then, by the value that the engine has noted; to within the share of its fees."""
    if not sol or not row.value_usd:
        return None
    with localcontext(prec=80):
        rate = row.value_usd / sol
        return rate.quantize(USD_STORED) if USD_STORED <= rate < RATE_LIMIT else None


def rounded(sol: Decimal) -> Decimal:
    """Return a sum of SOL to the lamport."""
    with localcontext(prec=80):
        return sol.quantize(SOL) if abs(sol) < Decimal("1e20") else sol
