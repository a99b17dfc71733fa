"""The types that sources, feed and cache share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Context, Decimal
from typing import NamedTuple, Protocol, runtime_checkable

from positions.books.accounting import PRICE, PRICE_LIMIT
from positions.books.quotes import UNKNOWN_MARKET, WRAPPED_SOL, Market, PriceStatus, Quote
from positions.conf import conf
from positions.prices.turns import Turns

DIGITS = Context(prec=50)
"""For prices. `localcontext` would cost more than the arithmetic, of which a round has a lot."""
LEEWAY_SECONDS = 60.0
"""How far the clock of another machine may be ahead."""
ZERO = Decimal(0)
ONE = Decimal(1)

__all__ = [
    "UNKNOWN_MARKET", "WRAPPED_SOL", "Market", "PriceSource", "PriceStatus", "Prices", "Quote", "ResumingSource",
    "SharedSource", "SourceError", "Token", "in_usd", "is_stale", "judged", "quotes_in_sol", "usable",
]  # fmt: skip


class Token(NamedTuple):
    """A held token, as its position names it."""

    address: str
    """Its mint, case-sensitive."""
    symbol: str = ""
    """As its position names it: neither unique nor checked. Only `replay` uses it."""


@dataclass(frozen=True, slots=True)
class Prices:
    """A source's answer: one round. Unknown tokens are missing, never zero."""

    quotes: Mapping[str, Quote]
    sol_usd: Decimal | None = None
    errors: list[str] = field(default_factory=list)
    """Partial failures, each a sentence for a terminal."""
    notes: list[str] = field(default_factory=list)
    """Messages to show once that are not errors, each a sentence as well."""
    gone: Collection[str] = ()
    """Tokens of which the source knows no market, as it has just found out. One that it could not ask is not named."""
    decimals: Mapping[str, int] = field(default_factory=dict)
    """How many decimals an amount of a token has, if the source reports it: by mint, 0 to 18."""


class PriceSource(Protocol):
    """Where prices come from."""

    name: str
    """As `--source` names it."""
    simulated: bool
    """Whether the prices are made up; the page says so."""

    async def fetch(self, tokens: Collection[Token]) -> Prices:
        """Return prices of these tokens. Raises SourceError on complete failure; partial failures are in `errors`.

        Safe to cancel. Addresses are case-sensitive. Wrapped SOL costs 1 SOL.
        """

    async def aclose(self) -> None:
        """Release connections and other resources."""


@runtime_checkable
class ResumingSource(Protocol):
    """A source that compares its prices with those before."""

    def resume(self, quotes: Iterable[Quote]) -> None:
        """Take over quotes of the last minutes, from before this process began or held the token."""


@runtime_checkable
class SharedSource(Protocol):
    """A source that cannot be asked for any number of tokens: it chooses those whose turn it is."""

    turns: Turns

    @property
    def room(self) -> int:
        """How many tokens it can be asked for now, within a round: at least what one request asks for.

        Where even that one has to wait for too long, `fetch` says so.
        """


class SourceError(Exception):
    """A source returned no prices at all. The message can be shown on a terminal."""


def is_stale(answered_at: datetime, now: datetime) -> bool:
    """Return whether a source's answer of that time is too old to rely on, or of a time still to come."""
    seconds: float = conf.PRICE_STALE_SECONDS
    return not -LEEWAY_SECONDS <= (now - answered_at).total_seconds() <= seconds


def is_of_now(as_of: datetime, now: datetime) -> bool:
    """Return whether a price may be of that time, and not of one still to come: it would stay the newest."""
    return as_of.tzinfo is not None and (now - as_of).total_seconds() >= -LEEWAY_SECONDS


def is_figure(number: Decimal | None) -> bool:
    """Return whether what is said to be a figure of a quote is one: finite, and not negative. Or None."""
    return number is None or (number.is_finite() and number >= 0)


def is_credible(quote: Quote, now: datetime) -> bool:
    """Return whether a quote that was stored, by whomever, can be one of this moment or before."""
    market = quote.market or UNKNOWN_MARKET
    figures = (quote.price, quote.price_usd, market.liquidity_usd, market.pool_tokens, market.pool_sol)
    return is_of_now(quote.as_of, now) and all(map(is_figure, figures)) and quote.price < PRICE_LIMIT


def judged(quote: Quote, now: datetime) -> Quote:
    """Return the quote with `is_stale` set as of that moment. Every reader uses this."""
    stale = is_stale(quote.as_of, now)
    return quote if stale == quote.is_stale else replace(quote, is_stale=stale)


def usable(price: Decimal | None) -> Decimal | None:
    """Return the price rounded to the digits of its column, or None where it is invalid.

    NaN, infinities, zero, negative numbers and those that round to zero are invalid.
    """
    if price is None or not price.is_finite() or not ZERO < price < PRICE_LIMIT:
        return None
    return price.quantize(PRICE, context=DIGITS) or None


def quotes_in_sol(
    prices: Mapping[str, Decimal], *, sol_usd: Decimal | None, as_of: datetime
) -> dict[str, Quote]:
    """Return the quotes of one round from prices in SOL. Invalid prices are dropped; wrapped SOL costs 1.

    `price_usd` is always price · sol_usd, rounded to 30 decimals: a client that divides gets the same SOL in
    USD from each of them.
    """
    quotes = {}
    for address, given in prices.items():
        price = usable(ONE if address == WRAPPED_SOL else given)
        if price is not None:
            quotes[address] = Quote(address, price, in_usd(price, sol_usd), as_of)
    return quotes


def in_usd(price: Decimal, sol_usd: Decimal | None) -> Decimal | None:
    """Return a price in SOL in USD, rounded to 30 decimals; None where SOL in USD is unknown."""
    if sol_usd is None:
        return None
    if not price:
        return price
    return usable(DIGITS.multiply(price, sol_usd))
