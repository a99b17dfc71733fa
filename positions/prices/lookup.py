"""Prices that the cache misses, fetched from the source by the process that needs them, once for all waiters.

A token is missing from its first purchase until the feed's next round; without a feed, for longer.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Collection, Iterable, Mapping

from positions.prices.cache import aget_feed_status, put_prices
from positions.prices.dexscreener import DexScreenerSource
from positions.prices.jupiter import JupiterSource
from positions.prices.quotes import PriceSource, Quote, SourceError, Token
from positions.valkey import Unavailable

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 2.0
GATHER_SECONDS = 0.02
"""How long a request waits for others to join it: many connects at once ask in few batches."""
NEGATIVE_SECONDS = 5.0
"""How long a token without a price is not asked for again."""
# The feed uses most of an API's rate limit.
DEXSCREENER_PER_MINUTE = 60
JUPITER_PER_MINUTE = 10


async def fill_misses(token_addresses: Collection[str]) -> Mapping[str, Quote]:
    """Fetch the prices of these tokens from the feed's source, and write them to the cache.

    Only HTTP sources can be asked from here: with simulated or replayed prices, or without a feed, nothing is found.
    Takes two seconds at most and does not raise for a failing source: prices that could not be fetched are missing,
    and not asked for again for five seconds. Safe to cancel: others may wait for the same answer.
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
        self._source: PriceSource | None = None
        self._waiting: dict[str, asyncio.Task[Mapping[str, Quote]]] = {}
        self._gathering: set[str] = set()
        self._gatherer: asyncio.Task[Mapping[str, Quote]] | None = None
        self._not_before: dict[str, float] = {}
        self._in_trouble = False

    async def fill(self, token_addresses: Iterable[str]) -> Mapping[str, Quote]:
        now = asyncio.get_running_loop().time()
        self._not_before = {address: until for address, until in self._not_before.items() if until > now}
        wanted = set(token_addresses) - self._not_before.keys()
        for address in wanted - self._waiting.keys():
            if self._gatherer is None:
                self._gatherer = asyncio.create_task(self._ask())
            self._gathering.add(address)
            self._waiting[address] = self._gatherer
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
        addresses: set[str] = set()
        quotes: Mapping[str, Quote] = {}
        try:
            await asyncio.sleep(GATHER_SECONDS)
            addresses, self._gathering, self._gatherer = self._gathering, set(), None
            async with asyncio.timeout(DEADLINE_SECONDS - GATHER_SECONDS):
                quotes = await self._fetch(addresses)
        except TimeoutError:
            self._trouble(f"no answer within {DEADLINE_SECONDS:g} s")
        except (SourceError, *Unavailable) as error:
            self._trouble(str(error) or type(error).__name__)
        finally:
            until = asyncio.get_running_loop().time() + NEGATIVE_SECONDS
            for address in addresses:
                del self._waiting[address]
                if address not in quotes:
                    self._not_before[address] = until
        return quotes

    async def _fetch(self, addresses: set[str]) -> Mapping[str, Quote]:
        status = await aget_feed_status()
        source = await self._source_named(status.source if status else None)
        if source is None:
            return {}
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

    async def _source_named(self, name: str | None) -> PriceSource | None:
        """Return the source that the feed uses, where this process can ask it. Raises SourceError."""
        if self._source is not None and self._source.name != name:
            source, self._source = self._source, None
            await source.aclose()
        if self._source is None:
            if name == DexScreenerSource.name:
                self._source = DexScreenerSource(per_minute=DEXSCREENER_PER_MINUTE)
            elif name == JupiterSource.name:
                self._source = JupiterSource(per_minute=JUPITER_PER_MINUTE)
        return self._source

    def _trouble(self, why: str) -> None:
        """Log an error once, not with every socket that connects."""
        if not self._in_trouble:
            self._in_trouble = True
            logger.warning("prices that the cache misses cannot be looked up: %s", why)


_lookups: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Lookup] = weakref.WeakKeyDictionary()
