"""DexScreener's surveys: requests for all pools of one token, since an answer for many often has only the best of each.

Which tokens are surveyed, what was found, and what that says of a token later on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from positions.prices.markets import Pool
from positions.prices.quotes import WRAPPED_SOL, SourceError
from positions.prices.rate_limit import RateLimit, RateLimitError, Sleep
from positions.prices.turns import NEW_SECONDS, Turns

SURVEY_SECONDS = 60.0
"""How often all pools of a token are asked for, where the limit allows it; while its market is in doubt, each round."""
SURVEY_GOOD_FOR_SECONDS = 180.0
"""How long a pool that only a survey found counts."""

ByToken = Mapping[str, list[Pool]]
"""The pools of this round's answers for many tokens, by the tokens on either side."""


@dataclass(slots=True)
class _Known:
    """What surveys have found of one token."""

    pools: dict[str, tuple[Pool, float]] = field(default_factory=dict)
    """By address, and when it was found."""
    surveyed_at: float | None = None
    turn_from: float | None = None
    """What its next turn is counted from: the last survey, or the first answer with a market beyond doubt."""
    seen_at: float | None = None
    """When an answer for many tokens last had a pool of it."""
    is_behind: bool = False
    """Whether its price was that of a pool of which the last answer said nothing."""

    @property
    def is_gone(self) -> bool:
        """Whether a survey has found nothing since a pool was last seen."""
        if self.pools or self.surveyed_at is None:
            return False
        return self.seen_at is None or self.surveyed_at > self.seen_at


class Surveys:
    """The surveys of one source, within a limit of their own."""

    def __init__(
        self,
        ask: Callable[[str], Awaitable[list[Pool]]],
        turns: Turns,
        *,
        per_minute: int,
        sleep: Sleep,
        clock: Callable[[], float],
    ) -> None:
        """`ask`: returns all pools of one token, or raises SourceError."""
        self._ask = ask
        self._turns = turns
        self._limit = RateLimit(per_minute, clock=clock, sleep=sleep)
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self.asked = 0
        """How many tokens the last round surveyed."""

    def keep_only(self, tokens: Collection[str]) -> None:
        for address in self._known.keys() - set(tokens):
            del self._known[address]

    def resume_gone(self, address: str) -> None:
        """Take over a token that was gone: a survey found so minutes ago, and it needs no other to stay gone."""
        self._known.setdefault(address, _Known(surveyed_at=self._clock()))

    def choose(
        self, addresses: Iterable[str], by_token: ByToken, *, is_plain: Callable[[str, list[Pool]], bool]
    ) -> list[str]:
        """Return the tokens to survey: those whose market is in doubt and those whose turn it is, by turns.

        Of both, those first whose claim is the strongest (`turns`); before them wrapped SOL, which all prices need.
        `is_plain`: whether these pools alone leave no doubt about a token's market.
        """
        now = self._clock()

        def claim(address: str, seconds: float) -> float:
            return math.inf if address == WRAPPED_SOL else self._turns.claim(address, seconds)

        doubtful, due = [], []
        for address in addresses:
            known = self._known.setdefault(address, _Known())
            pools = by_token.get(address, [])
            if pools:
                known.seen_at = now
            if not is_plain(address, pools) and not known.is_gone:
                waited = NEW_SECONDS if known.surveyed_at is None else now - known.surveyed_at
                doubtful.append((claim(address, waited), address))
            elif known.turn_from is None:
                known.turn_from = now
            elif known.is_behind or now - known.turn_from > SURVEY_SECONDS:
                due.append((claim(address, now - known.turn_from), address))
        in_order = (sorted(each, reverse=True) for each in (doubtful, due))
        return [address for pair in zip_longest(*in_order) for _, address in filter(None, pair)]

    async def run(self, addresses: Sequence[str], *, most: int) -> None:
        """Survey as many of these as the limit allows at once, at most `most`. What fails is asked for again."""
        allowed: list[str] = []
        for address in addresses[:most]:
            try:
                await self._limit.acquire(0)
            except RateLimitError:
                break
            allowed.append(address)
        self.asked = len(allowed)
        for address, outcome in zip(
            allowed,
            await asyncio.gather(*map(self._ask, allowed), return_exceptions=True),
            strict=True,
        ):
            now = self._clock()
            if isinstance(outcome, SourceError):
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            known = self._known[address]
            known.pools = {pool.address: (pool, now) for pool in outcome}
            known.surveyed_at = known.turn_from = now

    def all_pools(self, address: str, by_token: ByToken) -> list[Pool]:
        """Return the token's pools of this round, and those that only a recent survey has found."""
        oldest = self._clock() - SURVEY_GOOD_FOR_SECONDS
        known = self._known.get(address, _Known()).pools.items()
        pools = {key: pool for key, (pool, at) in known if at > oldest}
        pools |= {pool.address: pool for pool in by_token.get(address, [])}
        return list(pools.values())

    def note_priced(self, address: str, pool: Pool | None, by_token: ByToken) -> float:
        """Note which pool makes the token's price; return how old the pool's figures are, in seconds.

        0 for a pool of this round's answer, and without one.
        """
        known = self._known[address]
        known.is_behind = pool is not None and pool not in by_token.get(address, ())
        if pool is None or not known.is_behind:
            return 0.0
        _, found_at = known.pools[pool.address]
        return self._clock() - found_at

    def is_gone(self, address: str) -> bool:
        """Return whether a survey has found nothing since a pool was last seen."""
        known = self._known.get(address)
        return known is not None and known.is_gone
