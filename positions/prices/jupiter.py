"""Jupiter's price API: the last swap of each token over all Solana exchanges, outliers removed. Needs a key.

`GET /price/v3?ids=<up to 50 addresses>` answers `{mint: {"usdPrice": …, "decimals": …, "liquidity": …}}`, without
tokens that have no reliable price: that says nothing of their market, so none is called gone.
https://dev.jup.ag/docs/price/v3
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from urllib.parse import quote

from positions.conf import conf
from positions.prices.http import JsonApi, decimal, in_batches, mints
from positions.prices.mint_decimals import usable_decimals
from positions.prices.quotes import WRAPPED_SOL, Market, Prices, SourceError, Token, quotes_in_sol, usable
from positions.prices.rate_limit import Sleep
from positions.prices.turns import Turns

ADDRESSES_PER_REQUEST = 50
REQUESTS_PER_MINUTE = 60  # of the free plan
LARGEST = Decimal("1e30")


class JupiterSource:
    """A token's price is its price in USD, divided by that of wrapped SOL in the same answer."""

    name = "jupiter"
    simulated = False

    def __init__(
        self,
        *,
        per_minute: int = REQUESTS_PER_MINUTE,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        key = conf.JUPITER_API_KEY
        if not key:
            raise SourceError("Jupiter needs an API key, free at portal.jup.ag: set NEXGENT_JUPITER_API_KEY.")
        if not (key.isascii() and key.isprintable()):
            raise SourceError(
                "NEXGENT_JUPITER_API_KEY has a character that is not allowed in an HTTP header."
            )
        self._api = JsonApi(
            name="Jupiter",
            base_url=conf.JUPITER_URL,
            per_minute=per_minute,
            headers={"x-api-key": key},
            sleep=sleep,
            clock=clock,
        )
        self.turns = Turns(clock=clock)

    async def fetch(self, tokens: Collection[Token]) -> Prices:
        """One request for every 49 tokens whose turn it is: wrapped SOL is part of each."""
        held = mints(tokens)[1:]
        addresses = self.turns.choose(held, self.room)
        if len(addresses) < len(held):
            random.shuffle(
                addresses
            )  # not always with the same others, which a request that fails would take along
        decimals: dict[str, int] = {}
        markets: dict[str, Market] = {}

        async def ask(batch: Sequence[str]) -> tuple[Sequence[str], dict[str, Decimal]]:
            return batch, await self._prices_in_usd(batch, decimals, markets)

        answers, errors = await in_batches(addresses or [WRAPPED_SOL], ADDRESSES_PER_REQUEST - 1, ask)
        prices = {WRAPPED_SOL: Decimal(1)}
        for batch, in_usd in answers:
            self._note(batch, in_usd)
            with localcontext(prec=50):
                prices |= {address: price / in_usd[WRAPPED_SOL] for address, price in in_usd.items()}
        # One round has one price of SOL, that of any answer: they are milliseconds apart.
        sol_usd = answers[0][1][WRAPPED_SOL]
        asked = {token.address for token in tokens}
        wanted = {address: price for address, price in prices.items() if address in asked}
        quotes = {
            address: replace(quote, market=markets.get(address))
            for address, quote in quotes_in_sol(wanted, sol_usd=sol_usd, as_of=datetime.now(UTC)).items()
        }
        return Prices(
            quotes, sol_usd, errors, decimals={mint: decimals[mint] for mint in asked & decimals.keys()}
        )

    @property
    def room(self) -> int:
        return max(1, self._api.requests_within(self.turns.round_seconds)) * (ADDRESSES_PER_REQUEST - 1)

    async def aclose(self) -> None:
        await self._api.aclose()

    def _note(self, batch: Sequence[str], answer: Collection[str]) -> None:
        asked = [address for address in batch if address != WRAPPED_SOL]
        self.turns.answered(
            known=[address for address in asked if address in answer],
            unknown=[address for address in asked if address not in answer],
        )

    async def _prices_in_usd(
        self, addresses: Sequence[str], decimals: dict[str, int], markets: dict[str, Market]
    ) -> dict[str, Decimal]:
        """Return the prices of these; add what is reported of their mints and markets to `decimals` and `markets`."""
        ids = ",".join(quote(address, safe="") for address in dict.fromkeys([WRAPPED_SOL, *addresses]))
        answer = await self._api.get(f"/price/v3?ids={ids}")
        if not isinstance(answer, dict):
            raise SourceError("Jupiter's answer is not the documented object of tokens.")
        prices = {}
        for address, entry in answer.items():
            if not isinstance(entry, dict):
                continue
            price = usable(decimal(entry.get("usdPrice")))
            if price is not None:
                prices[address] = price
            reported = usable_decimals(entry.get("decimals"))
            if reported is not None:
                decimals[address] = reported
            market = _market(entry.get("liquidity"))
            if market is not None and address != WRAPPED_SOL:
                markets[address] = market
        if WRAPPED_SOL not in prices:
            raise SourceError("Jupiter gave no price of wrapped SOL, without which none can be given in SOL.")
        return prices


def _market(liquidity_usd: object) -> Market | None:
    """Return what is reported of a token's market, all pools together; None if nothing is."""
    liquidity = decimal(liquidity_usd)
    if liquidity is None or not liquidity.is_finite() or not 0 <= liquidity <= LARGEST:
        return None
    return Market("thin" if liquidity < conf.POOL_FLOOR_USD else "live", liquidity)
