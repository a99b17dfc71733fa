"""The fold: what a position's figures are, worked out from its trades. Pure, as all of `positions.books`.

`apply` is one step: a write that comes last in time takes it from the figures that are stored. `fold` takes them all:
for a trade that is booked late, for `check_books`, and in tests.

Cost in USD is kept as of each trade, by the average-cost method as well: `cost_usd` is what was paid for what is still
held, `realized_profit_usd` what sales brought above that. Both are None once they depend on a trade whose SOL/USD is
not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Protocol

from positions.books import accounting
from positions.books.accounting import ZERO, Holding, digits
from positions.books.numbers import shown
from positions.errors import ImpossibleTrade, InvalidAmount, NotEnoughTokens, PositionsError

USD_STORED = Decimal("1e-9")
"""The precision of the columns of USD; what clients get is rounded to 6 decimals (`accounting.USD`)."""
USD_LIMIT = Decimal("1e21")
RATE_LIMIT = Decimal("1e9")
"""USD for one SOL."""


class Side(StrEnum):
    PURCHASE = "purchase"
    SALE = "sale"
    AIRDROP = "airdrop"
    """A purchase for 0 SOL."""
    TRANSFER_IN = "transfer_in"
    """A purchase at the cost that is stated."""
    TRANSFER_OUT = "transfer_out"
    """A sale at cost: no profit, neither in SOL nor in USD."""
    MIGRATION = "migration"
    """All that was held became so many tokens of another mint, at the same cost in SOL and in USD."""
    BALANCE = "balance"
    """The figures as they were at that moment, where the trades that led to them are not known, or were corrected."""


OPENINGS = (Side.PURCHASE, Side.AIRDROP, Side.TRANSFER_IN)
"""Those that a position can begin with."""


class Booked(Protocol):
    """A trade, as the fold needs it: a row of Trade, or a Reconstructed that is to become one."""

    @property
    def side(self) -> str: ...
    @property
    def tokens(self) -> Decimal: ...
    @property
    def sol(self) -> Decimal: ...
    @property
    def sol_usd(self) -> Decimal | None: ...
    @property
    def executed_at(self) -> datetime: ...
    @property
    def figures(self) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Books:
    """Everything about a position that follows from its trades."""

    holding: Holding = field(default_factory=Holding)
    cost_usd: Decimal | None = ZERO
    realized_profit_usd: Decimal | None = ZERO
    dca_count: int = 0
    """How many purchases added to tokens already held."""

    @property
    def figures(self) -> dict[str, str | int]:
        """What a balance states, as JSON: all but the sums of USD, which it does not know."""
        holding = {name: digits(getattr(self.holding, name)) for name in FIGURES}
        return {**holding, "dca_count": self.dca_count}

    @property
    def digest(self) -> str:
        """Return a short digest of `figures`: where a row's differs, something else than a trade has changed them."""
        text = "|".join(map(str, self.figures.values()))
        return blake2b(text.encode(), digest_size=8).hexdigest()


FIGURES = tuple(Holding._fields)


def balance(figures: Mapping[str, Any]) -> Books:
    """Return the books that begin with these figures."""
    holding = Holding(**{name: Decimal(figures[name]) for name in FIGURES})
    return Books(holding, cost_usd=None, realized_profit_usd=None, dca_count=figures["dca_count"])


def apply(books: Books, trade: Booked) -> Books:
    """Return the books after this trade. Raises InvalidAmount, or NotEnoughTokens."""
    before = books.holding
    match Side(trade.side):
        case Side.BALANCE:
            assert trade.figures is not None  # noqa: S101  the table has no other
            return balance(trade.figures)
        case Side.PURCHASE | Side.AIRDROP | Side.TRANSFER_IN as side:
            is_purchase = side is Side.PURCHASE
            after = accounting.buy(
                before, tokens=trade.tokens, spent_sol=trade.sol, may_be_free=not is_purchase
            )
            return Books(
                after,
                cost_usd=_usd(books.cost_usd, _in_usd(trade)),
                realized_profit_usd=books.realized_profit_usd,
                dca_count=books.dca_count + bool(is_purchase and before.remaining_amount),
            )
        case Side.MIGRATION:
            return replace(books, holding=accounting.exchange(before, tokens=trade.tokens))
        case Side.SALE:
            after = accounting.sell(before, tokens=trade.tokens, proceeds_sol=trade.sol)
        case Side.TRANSFER_OUT:
            sold = accounting.sell(before, tokens=trade.tokens, proceeds_sol=ZERO)
            after = sold._replace(realized_profit_sol=before.realized_profit_sol)
    cost_left = _share(books.cost_usd, after.remaining_amount, before.remaining_amount)
    realized = books.realized_profit_usd
    if trade.side == Side.SALE:
        cost = None if books.cost_usd is None or cost_left is None else cost_left - books.cost_usd
        realized = _usd(_usd(realized, cost), _in_usd(trade))
    return replace(books, holding=after, cost_usd=cost_left, realized_profit_usd=realized)


def fold(trades: Iterable[Booked]) -> Books:
    """Return the books after these trades, which are in the order of their execution.

    Raises ImpossibleTrade, which names the first trade that sells more than was held then. What comes before a balance
    does not matter.
    """
    books, problem = Books(), ""
    for trade in trades:
        if problem and trade.side != Side.BALANCE:
            continue
        try:
            books, problem = apply(books, trade), ""
        except NotEnoughTokens:
            held = digits(books.holding.remaining_amount)
            problem = f"the {named(trade)} would then be more than was held, {held}"
        except PositionsError as error:
            problem = f"{named(trade)}: {error.message}"
    if problem:
        raise ImpossibleTrade(f"executed_at: {problem}", field="executed_at")
    return books


def cost_of(holding: Holding, tokens: Decimal) -> Decimal:
    """Return what this many tokens held cost, as a trade states it; 0 where figures set by hand make no sense."""
    cost = accounting.proceeds(tokens=tokens, price=holding.purchase_price)
    return cost if cost < accounting.SOL_LIMIT else ZERO


def named(trade: Booked) -> str:
    """Return a trade as a message names it: `sale of 5 at 2026-01-31T12:00:00+00:00`."""
    side = trade.side.replace("_", " ")
    return f"{side} of {digits(trade.tokens)} at {trade.executed_at.isoformat()}"


def check_rate(sol_usd: Any) -> Decimal:
    """Return USD for one SOL as it is stored, to 9 decimals. Raises InvalidAmount."""
    if not isinstance(sol_usd, Decimal):
        raise InvalidAmount(f"sol_usd must be a Decimal, not {type(sol_usd).__name__}", field="sol_usd")
    if not sol_usd.is_finite() or not USD_STORED <= sol_usd < RATE_LIMIT:
        raise InvalidAmount(
            f"sol_usd must be at least {digits(USD_STORED)} and below {digits(RATE_LIMIT)}, not {shown(sol_usd)}",
            field="sol_usd",
        )
    with localcontext(prec=50):
        rate: Decimal = sol_usd.quantize(USD_STORED)
        return rate


def _in_usd(trade: Booked) -> Decimal | None:
    """Return the cost or proceeds of the trade, exactly; 0 SOL is 0 USD at any rate."""
    if not trade.sol:
        return ZERO
    with localcontext(prec=80):
        return None if trade.sol_usd is None else trade.sol * trade.sol_usd


def _usd(total: Decimal | None, part: Decimal | None) -> Decimal | None:
    """Return the sum, to the digits of its column; None where either is unknown."""
    if total is None or part is None:
        return None
    with localcontext(prec=80):
        result = (total + part).quantize(USD_STORED)
    if abs(result) >= USD_LIMIT:
        raise InvalidAmount(
            f"sol_usd: {digits(result)} USD in all is too much: it must be less than {digits(USD_LIMIT)}",
            field="sol_usd",
        )
    return result


def _share(total: Decimal | None, part: Decimal, whole: Decimal) -> Decimal | None:
    """Return the cost of what is left of a holding."""
    if not part:
        return ZERO  # nothing is left, so nothing of the cost
    if total is None:
        return None
    with localcontext(prec=80):
        return (total * part / whole).quantize(USD_STORED)
