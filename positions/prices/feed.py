"""The poll loop: one process polls one source, round after round, and publishes what changed.

No error ends it: errors are part of a round's result. Known prices are kept, with their age.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from django.db import Error as DatabaseError

from positions.errors import is_bug
from positions.prices.cache import FeedStatus, aget_prices
from positions.prices.held import held_tokens, last_quotes
from positions.prices.keeper import Keeper
from positions.prices.known_quotes import KnownQuotes
from positions.prices.mint_decimals import DecimalsKeeper
from positions.prices.publishing import Prepare, Publish, Publishing
from positions.prices.quotes import (
    WRAPPED_SOL,
    Prices,
    PriceSource,
    Quote,
    ResumingSource,
    SourceError,
    Token,
)
from positions.prices.rounds import MAX_ERROR_CHARACTERS, Round, sentence
from positions.prices.sharing import Sharing
from positions.valkey import Unavailable

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 15.0
"""For the source, beyond its own time-outs: the loop goes on in any case."""
DATABASE_DEADLINE_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 30.0
RESUMED_FOR = timedelta(minutes=10)
"""How old quotes may be for a source to go on from them."""
NEVER = datetime.fromtimestamp(0, UTC)

OnPrices = Callable[[Collection[Quote]], None]
"""Gets the live prices that a round brought, and must neither wait nor fail: `positions.history` records them."""


class PriceFeed:
    """Rounds of: read the held tokens → poll the source → write the cache → publish what changed.

    Rounds start every `interval_seconds`, one at a time: a slow one delays the next, and missed rounds are not caught
    up. While a source fails completely, the interval grows (`_backoff`).
    """

    def __init__(
        self,
        source: PriceSource,
        publish: Publish,
        interval_seconds: float,
        *,
        prepare: Prepare | None = None,
        shards: int = 1,
        on_round: Callable[[Round], None] = lambda _: None,
        on_prices: OnPrices = lambda _: None,
        deadline_seconds: float = DEADLINE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._shards: int | msgspec.UnsetType = shards if shards > 1 else msgspec.UNSET
        self._interval = interval_seconds
        self._on_round = on_round
        self._on_prices = on_prices
        self._bugs: set[str] = set()  # logged already
        self._deadline = deadline_seconds
        self._sleep = sleep
        self._clock = clock
        self._held: frozenset[Token] = frozenset()
        self._known = KnownQuotes()
        self._publishing = Publishing(self._known, publish, prepare)
        self._keeper = Keeper(clock=clock)
        self._decimals = DecimalsKeeper()
        self._sharing = Sharing(source, interval_seconds, clock=clock)
        self._looked_up: set[str] = set()  # what was known of them before this feed began
        self._sol_usd: Decimal | None = None
        self._answered_at = NEVER
        self._failures = 0

    async def run(self, rounds: int | None = None) -> None:
        """Run that many rounds; without a number, run until cancelled.

        Safe to cancel: at worst a round is cached and not published; the next process that runs the feed publishes
        all of it.
        """
        done = 0
        begin = self._clock()
        try:
            while True:
                result = await self.round()
                self._keeper.offer(self._known.latest)
                self._on_round(result)
                done += 1
                if done == rounds:
                    return
                now = self._clock()
                begin = max(begin + self._interval, now) + self._backoff()
                await self._sleep(begin - now)
        finally:
            await self._keeper.finish()

    async def round(self) -> Round:
        """Run one round. Errors of the database, the source, the cache and the channel layer are in its result."""
        started = self._clock()
        errors: list[str] = []
        await self._look_up_held(errors)
        if self._keeper.problem is not None:
            self._database_failed(
                "The last prices cannot be stored in the database", self._keeper.problem, errors
            )
        addresses = {token.address for token in self._held}
        await self._restore(addresses | {WRAPPED_SOL}, errors)
        await self._share(addresses, errors)
        others = len(errors)
        prices = await self._ask(errors)
        source_errors = len(errors) - others
        await self._keep_decimals(prices.decimals, errors)
        self._known.keep_only(addresses | {WRAPPED_SOL})
        self._publishing.keep_only(addresses | {WRAPPED_SOL})
        self._looked_up &= addresses | {WRAPPED_SOL}
        self._sol_usd = prices.sol_usd or self._sol_usd
        now = datetime.now(UTC)
        taken = self._known.take(prices, now)
        news = self._known.news()
        priced = len(addresses & prices.quotes.keys())
        status = FeedStatus(
            source=self._source.name,
            simulated=self._source.simulated,
            sol_usd=self._sol_usd,
            updated_at=now,
            interval_seconds=self._interval,
            tokens=len(addresses),
            asked=self._sharing.asked,
            priced=priced,
            errors=list(errors),
            answered_at=self._answered_at,
            shards=self._shards,
        )
        published = await self._publishing.publish(news, status, errors)
        await self._sharing.tell()
        self._on_prices([quote for quote in taken.values() if quote.status == "live"])
        latest = self._known.latest
        oldest = min((latest[address].priced_at for address in addresses & latest.keys()), default=None)
        return Round(
            tokens=len(addresses),
            asked=self._sharing.asked,
            waiting=self._sharing.waiting,
            priced=priced,
            changed=len(news) if published else 0,
            errors=tuple(errors),
            notes=tuple(prices.notes),
            source_errors=source_errors,
            seconds=self._clock() - started,
            oldest_age_seconds=None if oldest is None else (now - oldest).total_seconds(),
            statuses=self._known.statuses(addresses, now),
        )

    async def _look_up_held(self, errors: list[str]) -> None:
        try:
            async with asyncio.timeout(DATABASE_DEADLINE_SECONDS):
                self._held = await held_tokens()
        except (DatabaseError, TimeoutError) as error:
            # The tokens of the last round are priced.
            self._database_failed("The held tokens cannot be read from the database", error, errors)

    def _database_failed(self, what: str, error: BaseException, errors: list[str]) -> None:
        """Add the error to the round's; log a bug with its traceback, once, not in every round."""
        errors.append(sentence(what, error))
        if is_bug(error) and what not in self._bugs:
            self._bugs.add(what)
            logger.error("%s, because of a bug", what, exc_info=error)

    async def _restore(self, tokens: set[str], errors: list[str]) -> None:
        """Look up what was known of tokens that are new to this feed."""
        new = tokens - self._looked_up
        if not new:
            return
        # What fails is tried again in the next round. An outage is reported by the round's own reads and writes.
        try:
            async with asyncio.timeout(DATABASE_DEADLINE_SECONDS):
                cached = await aget_prices(new)
                self._known.restore(cached.quotes.values(), datetime.now(UTC))
                stored = await last_quotes(new - cached.quotes.keys())
            now = datetime.now(UTC)
            self._known.restore(stored.values(), now)
            self._looked_up |= new
            if isinstance(self._source, ResumingSource):
                known = [*cached.quotes.values(), *stored.values()]
                self._source.resume(quote for quote in known if now - quote.as_of < RESUMED_FOR)
        except (DatabaseError, TimeoutError, *Unavailable) as error:
            if is_bug(error):
                self._database_failed("The last prices cannot be read from the database", error, errors)
        sol = self._known.latest.get(WRAPPED_SOL)
        self._sol_usd = self._sol_usd or (sol.price_usd if sol else None)

    async def _share(self, tokens: Collection[str], errors: list[str]) -> None:
        try:
            async with asyncio.timeout(DATABASE_DEADLINE_SECONDS):
                await self._sharing.share(tokens)
        except (DatabaseError, TimeoutError) as error:
            self._database_failed("Who holds the tokens cannot be read from the database", error, errors)

    async def _ask(self, errors: list[str]) -> Prices:
        # Always with wrapped SOL: all sums in USD need its price.
        tokens = self._held
        if all(token.address != WRAPPED_SOL for token in tokens):
            tokens |= {Token(WRAPPED_SOL, "SOL")}
        try:
            async with asyncio.timeout(self._deadline):
                prices = await self._source.fetch(tokens)
        except TimeoutError:
            self._failures += 1
            errors.append(f"{self._source.name} did not answer within {self._deadline:g} s.")
            return Prices({})
        except SourceError as error:
            self._failures += 1
            errors.append(str(error)[:MAX_ERROR_CHARACTERS])
            return Prices({})
        self._failures = 0
        self._answered_at = datetime.now(UTC)
        errors.extend(error[:MAX_ERROR_CHARACTERS] for error in prices.errors)
        return prices

    async def _keep_decimals(self, decimals: Mapping[str, int], errors: list[str]) -> None:
        try:
            async with asyncio.timeout(DATABASE_DEADLINE_SECONDS):
                await self._decimals.keep(decimals)
        except (DatabaseError, TimeoutError) as error:
            self._database_failed("The decimals of tokens cannot be stored in the database", error, errors)

    def _backoff(self) -> float:
        """Seconds to wait beyond the interval, with full jitter: 0 after a good round."""
        if not self._failures:
            return 0.0
        # The exponent is bounded: 2.0 ** 1100 is an OverflowError, after a weekend without a network.
        longest = min(LONGEST_BACKOFF_SECONDS, self._interval * 2.0 ** min(self._failures, 10))
        return random.uniform(0, longest)  # noqa: S311
