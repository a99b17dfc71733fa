"""DexScreener: what the decentralised exchanges of Solana trade at. Needs no key.

- `GET /tokens/v1/solana/<up to 30 addresses>`: pools of these tokens, often only the best of each.
- `GET /token-pairs/v1/solana/<address>`: all pools of one token.

Both allow 300 requests a minute. https://docs.dexscreener.com/api/reference
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

from positions.conf import conf
from positions.prices.dexscreener_pairs import parsed
from positions.prices.dexscreener_surveys import Surveys
from positions.prices.http import JsonApi, in_batches, mints
from positions.prices.jumps import Jumps
from positions.prices.jupiter import JupiterSource
from positions.prices.markets import Choice, Pool, choose, sol_in_usd
from positions.prices.quotes import WRAPPED_SOL, Market, Prices, Quote, SourceError, Token, in_usd
from positions.prices.rate_limit import Sleep
from positions.prices.sol_price import SolPrice
from positions.prices.turns import Turns

ADDRESSES_PER_REQUEST = 30
REQUESTS_PER_MINUTE = 300
SURVEYS_PER_MINUTE = 120
"""Of these, how many may ask for all pools of one token."""


class DexScreenerSource:
    """The price of a token is that of the market where most of it can be traded (`positions.prices.markets`)."""

    name = "dexscreener"
    simulated = False

    def __init__(
        self,
        *,
        per_minute: int = REQUESTS_PER_MINUTE,
        patience_seconds: float | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience_seconds`: how long requests wait for the limit; by default for a round, surveys for longer."""
        self._api = JsonApi(
            name="DexScreener",
            base_url=conf.DEXSCREENER_URL,
            per_minute=per_minute,
            sleep=sleep,
            clock=clock,
        )
        self._clock = clock
        self.turns = Turns(clock=clock)
        self._surveys = Surveys(
            self.all_pools_of,
            self.turns,
            per_minute=max(1, per_minute * SURVEYS_PER_MINUTE // REQUESTS_PER_MINUTE),
            sleep=sleep,
            clock=clock,
        )
        self._survey_patience_seconds = math.inf
        if patience_seconds is not None:
            self.turns.round_seconds = self._survey_patience_seconds = patience_seconds
        self._jumps = Jumps(conf.PRICE_JUMP_ROUNDS)
        self._sol = SolPrice(_jupiter_opinion if conf.JUPITER_API_KEY else None)

    async def fetch(self, tokens: Collection[Token]) -> Prices:
        """Ask once for every 30 tokens whose turn it is, wrapped SOL among them, then for all pools of those whose
        market is in doubt.

        A token is gone where an answer has nothing of it, and its survey neither, until the next answer.
        """
        held = mints(tokens)
        asked = self._chosen(held)
        answers, errors = await in_batches(asked, ADDRESSES_PER_REQUEST, self._pools)
        answered = [address for batch, _ in answers for address in batch]
        by_token = _by_token(pool for _, pools in answers for pool in pools)
        self._surveys.keep_only(held)
        self._jumps.keep_only(held)
        await self._survey(answered, by_token)
        sol_usd = await self._sol.settle(sol_in_usd(self._surveys.all_pools(WRAPPED_SOL, by_token)))
        wanted, now = {token.address for token in tokens}, datetime.now(UTC)
        quotes, gone = {}, []
        # A token whose request has failed gets no quote, even if a survey has found pools of it before: its price ages.
        for address in answered:
            if address not in wanted:
                continue
            quote = self._quote(address, by_token, sol_usd, now)
            if quote is not None:
                quotes[address] = quote
            elif self._surveys.is_gone(address) and not by_token.get(address):
                gone.append(address)
        if not by_token.get(WRAPPED_SOL):  # answers without even that one are those of an API in trouble
            return Prices(quotes, sol_usd, errors)
        self._note(answered, by_token)
        # The others' last answer is as good as it was: without it, they would turn stale between two turns.
        gone += [address for address in wanted - set(asked) if self._surveys.is_gone(address)]
        return Prices(quotes, sol_usd, errors, gone=tuple(gone))

    def resume(self, quotes: Iterable[Quote]) -> None:
        quotes = list(quotes)
        self._jumps.resume(quotes)
        for last in quotes:
            if last.token_address == WRAPPED_SOL:
                self._sol.resume(last.price_usd)
            if last.market is not None and last.market.status == "gone":
                self._surveys.resume_gone(last.token_address)

    @property
    def room(self) -> int:
        return max(1, self._api.requests_within(self.turns.round_seconds)) * ADDRESSES_PER_REQUEST - 1

    def _chosen(self, held: Sequence[str]) -> list[str]:
        """Return those of these tokens that are asked for now: wrapped SOL, the first, always is."""
        room = self.room
        if len(held) > room + 1:
            # As many as leave time for surveys: a round that waits for them makes all prices older.
            room = max(room - self._surveys.asked * ADDRESSES_PER_REQUEST, ADDRESSES_PER_REQUEST - 1)
        chosen = self.turns.choose(held[1:], room)
        if len(chosen) < len(held) - 1:
            random.shuffle(
                chosen
            )  # not always with the same others, which a request that fails would take along
        return [WRAPPED_SOL, *chosen]

    def _note(self, answered: Iterable[str], by_token: Mapping[str, list[Pool]]) -> None:
        """Note whose tokens the answers lacked."""
        known: list[str] = []
        unknown: list[str] = []
        for address in answered:
            if address != WRAPPED_SOL:
                (known if self._surveys.all_pools(address, by_token) else unknown).append(address)
        self.turns.answered(known=known, unknown=unknown)

    def _quote(
        self, address: str, by_token: Mapping[str, list[Pool]], sol_usd: Decimal | None, now: datetime
    ) -> Quote | None:
        if address == WRAPPED_SOL:
            return Quote(address, Decimal(1), in_usd(Decimal(1), sol_usd), now)
        choice = _choice(address, self._surveys.all_pools(address, by_token), sol_usd)
        best = choice.best
        seconds_old = self._surveys.note_priced(address, best.pool if best else None, by_token)
        if best is None:
            return None
        is_thin = self._jumps.doubts(address, choice) or choice.is_thin
        market = Market("thin" if is_thin else "live", best.pool.liquidity_usd, *best.reserves)
        as_of = now - timedelta(seconds=seconds_old)
        return Quote(address, best.price, in_usd(best.price, sol_usd), as_of, market)

    async def explain(self, address: str) -> tuple[Choice, list[Pool], Decimal | None]:
        """Return which market makes this token's price, all its pools, and SOL in USD. Raises SourceError."""
        pools = await self.all_pools_of(address)
        sol_usd = sol_in_usd(pools if address == WRAPPED_SOL else await self.all_pools_of(WRAPPED_SOL))
        return _choice(address, pools, sol_usd), pools, sol_usd

    async def all_pools_of(self, address: str) -> list[Pool]:
        """Return all pools of one token. Raises SourceError."""
        return parsed(await self._api.get(f"/token-pairs/v1/solana/{quote(address, safe='')}"))

    async def aclose(self) -> None:
        await self._api.aclose()

    async def _pools(self, addresses: Sequence[str]) -> tuple[Sequence[str], list[Pool]]:
        path = ",".join(quote(address, safe="") for address in addresses)
        return addresses, parsed(await self._api.get(f"/tokens/v1/solana/{path}"))

    async def _survey(self, answered: Iterable[str], by_token: Mapping[str, list[Pool]]) -> None:
        sol_usd = sol_in_usd(self._surveys.all_pools(WRAPPED_SOL, by_token))
        chosen = self._surveys.choose(
            answered, by_token, is_plain=lambda address, pools: _is_plain(address, pools, sol_usd)
        )
        await self._surveys.run(chosen, most=self._api.requests_within(self._survey_patience_seconds))


async def _jupiter_opinion() -> Decimal | None:
    async with aclosing(JupiterSource()) as jupiter:
        try:
            return (await jupiter.fetch([Token(WRAPPED_SOL)])).sol_usd
        except SourceError:
            return None


def _choice(address: str, pools: Iterable[Pool], sol_usd: Decimal | None) -> Choice:
    return choose(address, pools, sol_usd=sol_usd, floor_usd=Decimal(conf.POOL_FLOOR_USD))


def _is_plain(address: str, pools: list[Pool], sol_usd: Decimal | None) -> bool:
    """Return whether these pools alone leave no doubt about the token's market."""
    if address == WRAPPED_SOL:
        return sol_usd is not None
    choice = _choice(address, pools, sol_usd)
    return choice.best is not None and choice.best.is_known and not choice.is_thin


def _by_token(pools: Iterable[Pool]) -> dict[str, list[Pool]]:
    """Sort pools by the tokens on either side."""
    found: dict[str, list[Pool]] = {}
    for pool in pools:
        found.setdefault(pool.base, []).append(pool)
        found.setdefault(pool.quote, []).append(pool)
    return found
