"""A user with thousands of tokens, made up or not, leaves the prices of the others as fresh as they were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from positions.books.accounting import Holding
from positions.models import Agent, Position, Wallet
from positions.prices.asked import get_asked
from positions.prices.cache import aget_prices
from positions.prices.dexscreener import DexScreenerSource
from positions.prices.feed import PriceFeed
from positions.prices.jupiter import JupiterSource
from positions.prices.quotes import WRAPPED_SOL
from positions.prices.rounds import Round
from tests.positions.prices.clock import Clock
from tests.positions.prices.price_api import SOL_PAIR, Answer, PriceApi, Request, pair
from tests.positions.prices.test_dexscreener import mint
from tests.positions.prices.test_feed import Wire

pytestmark = pytest.mark.django_db(transaction=True)

ROUND_SECONDS = 1.5
ALICES = [mint(number) for number in range(10)]
BOBS = [mint(1000 + number) for number in range(1500)]


class Market:
    """The price API, within its limits, and when it was asked for what. Knows `listed` tokens only."""

    def __init__(self, api: PriceApi, clock: Clock, listed: Iterable[str]) -> None:
        self.listed = set(listed)
        self.asked_at: dict[str, list[float]] = defaultdict(list)
        self.requested_at: list[float] = []
        self._clock = clock
        api.respond = self.respond

    def respond(self, request: Request) -> Answer:
        self.requested_at.append(self._clock.now)
        if "/token-pairs/" not in request.path:
            for token in request.addresses:
                self.asked_at[token].append(self._clock.now)
        if "/price/" in request.path:
            known = self.listed | {WRAPPED_SOL}
            return Answer({token: {"usdPrice": 3} for token in request.addresses if token in known})
        pairs = [
            pair(token, "0.5", "60", liquidity_usd=50_000) for token in self.listed & {*request.addresses}
        ]
        return Answer([*([SOL_PAIR] if WRAPPED_SOL in request.addresses else []), *pairs])

    def longest_wait(self, tokens: Iterable[str], *, since: float = 0.0) -> float:
        """Return the longest time from one request for any of these tokens to the next, or to now."""
        waits = []
        for token in tokens:
            moments = [since, *(at for at in self.asked_at[token] if at >= since), self._clock.now]
            waits += [later - earlier for earlier, later in pairwise(moments)]
        return max(waits)

    def busiest_minute(self) -> int:
        moments = self.requested_at
        return max(sum(start <= at < start + 60 for at in moments) for start in moments)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@sync_to_async
def holds(user: User, tokens: Iterable[str]) -> None:
    agent, _ = Agent.objects.get_or_create(owner=user, name=f"of {user}")
    wallet, _ = Wallet.objects.get_or_create(agent=agent, address=f"{user.username}Wa11et")
    positions = [Position(agent=agent, wallet=wallet, token_address=token) for token in tokens]
    for position in positions:
        position.holding = Holding(Decimal(1), Decimal(1), Decimal(1), Decimal(1))
    Position.objects.bulk_create(positions)


@pytest.fixture
async def rounds(api, clock, settings) -> AsyncIterator[Callable[..., object]]:
    """Runs a feed for some seconds of the clock, and returns its last round."""
    settings.NEXGENT = {**settings.NEXGENT, "JUPITER_API_KEY": ""}
    source = DexScreenerSource(sleep=clock.sleep, clock=clock)
    feed = PriceFeed(source, Wire().publish, ROUND_SECONDS, sleep=clock.sleep, clock=clock)

    async def run(seconds: float) -> Round:
        end = clock.now + seconds
        while True:
            began = clock.now
            result = await feed.round()
            clock.now = max(clock.now, began + ROUND_SECONDS)
            if clock.now >= end:
                return result

    yield run
    await source.aclose()


async def test_thousands_of_made_up_tokens_leave_others_prices_fresh(api, clock, rounds, alice, bob):
    market = Market(api, clock, ALICES)
    await holds(alice, ALICES)
    await holds(bob, BOBS)
    await rounds(18)
    assert market.longest_wait(ALICES, since=105) < 3 * ROUND_SECONDS
    assert len(market.asked_at.keys() & BOBS) > 1000  # more and more of them
    assert market.busiest_minute() <= 300


async def test_token_bought_during_a_flood_is_asked_for_in_the_next_round(api, clock, rounds, alice, bob):
    """And one that is not listed yet is asked for again and again: a launch takes moments."""
    market = Market(api, clock, [])
    await holds(bob, BOBS[:1000])
    await rounds(6)
    await holds(alice, ALICES[:1])
    bought_at = clock.now
    await rounds(15)
    assert market.longest_wait(ALICES[:1], since=bought_at) < 3 * ROUND_SECONDS
    market.listed = set(ALICES)
    await rounds(2 * ROUND_SECONDS)
    assert (await aget_prices(ALICES[:1])).quotes[ALICES[0]].status == "live"


async def test_token_that_is_gone_stays_gone_while_it_is_not_asked_for(api, clock, rounds, bob, settings):
    """It does not turn stale in between."""
    market = Market(api, clock, BOBS[:500])
    await holds(bob, BOBS[:500])
    await rounds(6)
    vanished = BOBS[0]
    market.listed.remove(vanished)
    while not (quote := (await aget_prices([vanished])).quotes[vanished]).market:
        await rounds(ROUND_SECONDS)
    while quote.market.status != "gone":
        await rounds(ROUND_SECONDS)
        quote = (await aget_prices([vanished])).quotes[vanished]
    settings.NEXGENT = {
        **settings.NEXGENT,
        "PRICE_STALE_SECONDS": 1e-9,
    }  # stale unless the last round says something of it
    asked = len(market.asked_at[vanished])
    rounds_without = 0
    while rounds_without < 3:
        began = datetime.now(UTC)
        await rounds(ROUND_SECONDS)
        assert (await aget_prices([vanished])).quotes[vanished].as_of > began
        rounds_without += len(market.asked_at[vanished]) == asked
        asked = len(market.asked_at[vanished])
    market.listed.clear()
    api.respond = lambda _: Answer([])  # an API in trouble says nothing of it either
    began = datetime.now(UTC)
    await rounds(ROUND_SECONDS)
    assert (await aget_prices([vanished])).quotes[vanished].as_of < began


@pytest.mark.both_databases
async def test_everything_within_the_limit_is_asked_for_in_every_round(api, clock, rounds, alice, bob):
    """Also what answers lack: nothing is gained by leaving it out."""
    market = Market(api, clock, [])
    await holds(alice, ALICES)
    await holds(bob, BOBS[:50])
    last = await rounds(20 * ROUND_SECONDS)
    assert {len(market.asked_at[token]) for token in [*ALICES, *BOBS[:50]]} == {20}
    assert (last.tokens, last.asked, last.waiting) == (60, None, 0)


async def test_jupiter_shares_its_smaller_limit_out_as_well(api, clock, alice, bob):
    market = Market(api, clock, ALICES)
    await holds(alice, ALICES)
    await holds(bob, BOBS[:1000])
    source = JupiterSource(sleep=clock.sleep, clock=clock)
    feed = PriceFeed(source, Wire().publish, ROUND_SECONDS, sleep=clock.sleep, clock=clock)
    for _ in range(15):
        began = clock.now
        result = await feed.round()
        clock.now = max(clock.now, began + ROUND_SECONDS)
    await source.aclose()
    assert market.longest_wait(ALICES, since=105) < 3 * ROUND_SECONDS
    assert market.busiest_minute() <= 60
    assert result.asked is not None
    assert result.asked < 150


async def test_what_was_asked_for_is_written_with_each_owner_s_part(api, clock, rounds, alice, bob):
    Market(api, clock, ALICES)
    await holds(alice, ALICES)
    await holds(bob, [*ALICES[:5], *BOBS[:500]])
    await rounds(16)
    asked = await sync_to_async(get_asked)()
    assert asked is not None
    assert asked.asks[ALICES[0]] >= asked.seconds / (3 * ROUND_SECONDS)
    assert asked.share(alice.pk) + asked.share(bob.pk) == pytest.approx(1)
    assert 0 < asked.share(alice.pk) < asked.share(bob.pk)


async def test_wrapped_sol_is_surveyed_before_all_others(api, clock, rounds, bob):
    """Without its price no other can be given in USD, whoever holds it."""
    market = Market(api, clock, BOBS[:300])
    await holds(bob, BOBS[:300])
    surveyed: list[str] = []

    def respond(request: Request) -> Answer:
        if "/token-pairs/" in request.path:
            surveyed.extend(request.addresses)
            return Answer([SOL_PAIR] if WRAPPED_SOL in request.addresses else [])
        tokens = market.listed & {*request.addresses}
        return Answer([pair(token, "0.5", "60", liquidity_usd=900) for token in tokens])  # all in doubt

    api.respond = respond
    await rounds(ROUND_SECONDS)
    assert WRAPPED_SOL in surveyed
    assert len(surveyed) < 30
