"""Prices that the cache misses, fetched from the source by the process that needs them, once for all waiters.

A token is missing from its first purchase until the feed's next round; without a feed, for longer.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Collection, Iterable, Mapping
from itertools import zip_longest

from positions.prices.cache import aget_feed_status, put_prices
from positions.prices.dexscreener import DexScreenerSource
from positions.prices.jupiter import JupiterSource
from positions.prices.quotes import PriceSource, Quote, SourceError, Token
from positions.prices.turns import LONGEST_WAIT_SECONDS
from positions.valkey import Unavailable

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 2.0
GATHER_SECONDS = 0.02
"""How long a request waits for others to join it: many connects at once ask in few batches."""
NEGATIVE_SECONDS = 5.0
"""How long a token without a price is not asked for again. Each further answer without one doubles this."""
PATIENCE_SECONDS = 0.5
"""How long requests wait for the rate limit: what takes longer would miss the deadline, with all that was found."""
MOST_AT_ONCE = 120
"""Tokens in one request for all that wait. The others' prices come with the feed's next rounds."""
# The feed uses most of an API's rate limit.
DEXSCREENER_PER_MINUTE = 60
JUPITER_PER_MINUTE = 10


async def fill_misses(token_addresses: Collection[str]) -> Mapping[str, Quote]:
    """Fetch the prices of these tokens from the feed's source, and write them to the cache.

    Only HTTP sources can be asked from here: with simulated or replayed prices, or without a feed, nothing is found.
    Takes two seconds at most and does not raise for a failing source: prices that could not be fetched are missing,
    and not asked for again for five seconds, longer every time. Safe to cancel: others may wait for the same answer.
    """
    loop = asyncio.get_running_loop()
    lookup = _lookups.get(loop)
    if lookup is None:
        lookup = _lookups[loop] = _Lookup()
    return await lookup.fill(token_addresses)


async def close_lookup() -> None:
    """Close the running loop's connections to price APIs, where it has any."""
    lookup = _lookups.pop(asyncio.get_running_loop(), None)
    if lookup is not None:
        await lookup.aclose()


class _Lookup:
    """One event loop's requests: each token is asked for once, however many wait for it."""

    def __init__(self) -> None:
        self._source: DexScreenerSource | JupiterSource | None = None
        self._waiting: dict[str, asyncio.Task[Mapping[str, Quote]]] = {}
        self._gathering: list[list[str]] = []
        """What waits for the next request: the tokens of each of those that asked."""
        self._gatherer: asyncio.Task[Mapping[str, Quote]] | None = None
        self._refused: dict[
            str, tuple[float, float]
        ] = {}  # tokens without a price: until when, and for how long
        self._in_trouble = False

    async def fill(self, token_addresses: Iterable[str]) -> Mapping[str, Quote]:
        now = asyncio.get_running_loop().time()
        # How long it was is forgotten after as long again.
        self._refused = {
            address: (until, seconds)
            for address, (until, seconds) in self._refused.items()
            if until + seconds > now
        }
        wanted = {address for address in token_addresses if self._refused.get(address, (now, 0.0))[0] <= now}
        new = list(wanted - self._waiting.keys())
        if new:
            if self._gatherer is None:
                self._gatherer = asyncio.create_task(self._ask())
            self._gathering.append(new)
            self._waiting |= dict.fromkeys(new, self._gatherer)
        tasks = {self._waiting[address] for address in wanted}
        if not tasks:
            return {}
        # Unlike gather, wait does not cancel the tasks with this waiter; each ends by its deadline.
        done, _ = await asyncio.wait(tasks)
        found = {address: quote for task in done for address, quote in task.result().items()}
        return {address: found[address] for address in wanted & found.keys()}

    async def aclose(self) -> None:
        for task in set(self._waiting.values()):
            task.cancel()
            await asyncio.wait({task})
        if self._source is not None:
            await self._source.aclose()

    async def _ask(self) -> Mapping[str, Quote]:
        waiting: list[str] = []
        addresses: list[str] = []
        quotes: Mapping[str, Quote] = {}
        is_answered = False
        try:
            await asyncio.sleep(GATHER_SECONDS)
            gathered, self._gathering, self._gatherer = self._gathering, [], None
            # One of each that asked, then the next of each: who asks for thousands does not push the others out.
            waiting = [address for each in zip_longest(*gathered) for address in each if address is not None]
            async with asyncio.timeout(DEADLINE_SECONDS - GATHER_SECONDS):
                status = await aget_feed_status()
                source = await self._source_named(status.source if status else None)
                if source is not None:
                    addresses = waiting[: min(MOST_AT_ONCE, source.room)]
                    quotes = await self._fetch(source, addresses)
            is_answered = True
        except TimeoutError:
            self._trouble(f"no answer within {DEADLINE_SECONDS:g} s")
        except (SourceError, *Unavailable) as error:
            self._trouble(str(error) or type(error).__name__)
        finally:
            now = asyncio.get_running_loop().time()
            for address in waiting:
                del self._waiting[address]
            for address in addresses or waiting:  # those for which there was no room may be asked for at once
                if address not in quotes:
                    _, before = self._refused.get(address, (0.0, 0.0)) if is_answered else (0.0, 0.0)
                    seconds = min(max(NEGATIVE_SECONDS, 2 * before), LONGEST_WAIT_SECONDS)
                    self._refused[address] = (now + seconds, seconds)
        return quotes

    async def _fetch(self, source: PriceSource, addresses: Collection[str]) -> Mapping[str, Quote]:
        prices = await source.fetch([Token(address) for address in addresses])
        if prices.errors:
            self._trouble(" ".join(prices.errors))
        elif self._in_trouble:
            self._in_trouble = False
            logger.info("prices of single tokens can be looked up again")
        try:
            await put_prices(prices.quotes.values())
        except Unavailable as error:
            self._trouble(f"not cached: {str(error) or type(error).__name__}")
        return prices.quotes

    async def _source_named(self, name: str | None) -> DexScreenerSource | JupiterSource | None:
        """Return the source that the feed uses, where this process can ask it. Raises SourceError."""
        if self._source is not None and self._source.name != name:
            source, self._source = self._source, None
            await source.aclose()
        if self._source is None:
            if name == DexScreenerSource.name:
                self._source = DexScreenerSource(
                    per_minute=DEXSCREENER_PER_MINUTE, patience_seconds=PATIENCE_SECONDS
                )
            elif name == JupiterSource.name:
                self._source = JupiterSource(per_minute=JUPITER_PER_MINUTE)
        return self._source

    def _trouble(self, why: str) -> None:
        """Log an error once, not with every socket that connects."""
        if not self._in_trouble:
            self._in_trouble = True
            logger.warning("prices that the cache misses cannot be looked up: %s", why)


_lookups: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Lookup] = weakref.WeakKeyDictionary()
