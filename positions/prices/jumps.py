"""Prices that jump: not relied on until they have persisted for some rounds, unless the market itself confirms them.

A wick, a bad trade, or an answer that lacks the deep pool for a moment changes a price several times over and is gone
in seconds: nobody should sell on it. A real crash moves the pool's reserves along with the price, and the token's
other pools too: that is accepted at once. Pure: keeps what it is given, makes no requests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from positions.prices.markets import AGREEMENT, Candidate, Choice
from positions.prices.quotes import Quote

JUMP = Decimal(2)
"""By what factor a price has to change from the last accepted one to count as a jump."""


@dataclass(slots=True)
class _Known:
    price: Decimal | None
    """The last one that was accepted; None where all that is known is one that was not."""
    accepted: Candidate | None = None
    """Its market; None where it is from before this process began."""
    doubted: Decimal | None = None
    rounds: int = 0


class Jumps:
    """The last accepted price of each token."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._known: dict[str, _Known] = {}

    def doubts(self, token: str, choice: Choice) -> bool:
        """Return whether this round's price is a jump that nothing confirms yet."""
        now = choice.best
        if now is None:
            return False
        known = self._known.get(token)
        if known is None:
            self._known[token] = _Known(now.price, now)
            return False
        if (
            (known.price is not None and _near(now.price, known.price, JUMP))
            or choice.is_borne_out
            or (known.accepted is not None and _moved_with_its_pool(known.accepted, now))
        ):
            self._known[token] = _Known(now.price, now)
            return False
        stands = known.doubted is not None and _near(now.price, known.doubted, AGREEMENT)
        known.rounds = known.rounds + 1 if stands else 1
        known.doubted = now.price
        if known.rounds < self._rounds:
            return True
        self._known[token] = _Known(now.price, now)
        return False

    def resume(self, quotes: Iterable[Quote]) -> None:
        """Take over quotes from before this process began: a restart confirms no jump."""
        for quote in quotes:
            is_doubted = quote.market is not None and quote.market.status == "thin"
            self._known.setdefault(quote.token_address, _Known(None if is_doubted else quote.price))

    def keep_only(self, tokens: Collection[str]) -> None:
        for token in self._known.keys() - set(tokens):
            del self._known[token]


def _moved_with_its_pool(before: Candidate, now: Candidate) -> bool:
    """Return whether the pool's reserves have moved as far as its price."""
    if before.pool.address != now.pool.address:
        return False
    if not (before.pool_tokens and before.pool_sol and now.pool_tokens and now.pool_sol):
        return False
    with localcontext(prec=50):
        reserves = (now.pool_sol / now.pool_tokens) / (before.pool_sol / before.pool_tokens)
        return _near(now.price / before.price, reserves, AGREEMENT)


def _near(one: Decimal, other: Decimal, factor: Decimal) -> bool:
    with localcontext(prec=50):
        return other / factor <= one <= other * factor
