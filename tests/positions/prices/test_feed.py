from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from positions import valkey
from positions.conf import conf
from positions.models import Mint, Position
from positions.prices.cache import aget_feed_status, aget_prices
from positions.prices.feed import PriceFeed
from positions.prices.quotes import WRAPPED_SOL, Prices, Quote, SourceError, Token, quotes_in_sol
from positions.prices.rounds import Round
from positions.services import close_position, open_position
from tests.conftest import BONK, WIF
from tests.live import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


class ScriptedSource:
    """A price source whose prices a test sets: its own code, not a stand-in for ours."""

    name = "scripted"
    simulated = True

    def __init__(self) -> None:
        self.prices: dict[str, Decimal] = {}
        self.sol_usd: Decimal | None = Decimal(100)
        self.asked: list[set[Token]] = []
        self.failure: Exception | None = None
        self.hang = False
        self.errors: list[str] = []
        self.decimals: dict[str, int] = {}
        self.running = 0
        self.is_asked = asyncio.Event()

    async def fetch(self, tokens: Collection[Token]) -> Prices:
        assert self.running == 0, "two rounds at once"
        self.running += 1
        try:
            self.asked.append(set(tokens))
            self.is_asked.set()
            if self.hang:
                await asyncio.Event().wait()
            if self.failure is not None:
                raise self.failure
            held = {token.address for token in tokens}
            prices = {address: price for address, price in self.prices.items() if address in held}
            quotes = quotes_in_sol(prices, sol_usd=self.sol_usd, as_of=datetime.now(UTC))
            return Prices(quotes, self.sol_usd, self.errors, decimals=self.decimals)
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        pass


class Wire:
    """Where the feed publishes to."""

    def __init__(self) -> None:
        self.batches: list[dict[str, str]] = []
        self.failure: Exception | None = None

    async def publish(self, quotes: list[Quote]) -> None:
        if self.failure is not None:
            raise self.failure
        self.batches.append({quote.token_address: str(quote.price.normalize()) for quote in quotes})


@pytest.fixture
def source() -> ScriptedSource:
    scripted = ScriptedSource()
    scripted.prices = {BONK: Decimal("0.5"), WIF: Decimal("0.25"), WRAPPED_SOL: Decimal(1)}
    return scripted


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def feed(source, wire, sleep) -> PriceFeed:
    return PriceFeed(source, wire.publish, 1.5, sleep=sleep)


@pytest.fixture
def holding(position, wallet) -> Position:
    """Positions in BONK and WIF; the latter's."""
    return open_position(
        wallet=wallet, token_address=WIF, token_symbol="WIF", tokens=Decimal(10), spent_sol=Decimal(1)
    )


@pytest.fixture
def valkey_turned(settings) -> Callable[[str], Awaitable[None]]:
    """Takes the cache's server away, and brings it back."""
    url = conf.REDIS_URL

    async def turn(state: str) -> None:
        await valkey.close_async_client()
        settings.NEXGENT = {
            **settings.NEXGENT,
            "REDIS_URL": {"off": "unix:///nowhere/valkey.sock", "on": url}[state],
        }

    return turn


@pytest.mark.both_databases
async def test_round_asks_for_the_tokens_held_and_wrapped_sol(feed, source, holding):
    await feed.round()
    assert source.asked == [{Token(BONK, "BONK"), Token(WIF, "WIF"), Token(WRAPPED_SOL, "SOL")}]


@pytest.mark.both_databases
async def test_round_keeps_the_decimals_that_the_source_reports(feed, source, holding):
    decimals = sync_to_async(lambda: dict(Mint.objects.values_list("address", "decimals")))
    source.decimals = {BONK: 5}
    assert (await feed.round()).errors == ()
    assert await decimals() == {BONK: 5}
    await sync_to_async(Mint.objects.update)(decimals=6)
    source.decimals = {BONK: 5, WIF: 6}
    await feed.round()
    assert await decimals() == {BONK: 6, WIF: 6}  # those reported before were not written again


async def test_round_fills_cache_and_status(feed, holding):
    result = await feed.round()
    prices = await aget_prices([BONK, WIF, WRAPPED_SOL])
    assert {address: (q.price, q.price_usd) for address, q in prices.quotes.items()} == {
        BONK: (Decimal("0.5"), Decimal(50)),
        WIF: (Decimal("0.25"), Decimal(25)),
        WRAPPED_SOL: (Decimal(1), Decimal(100)),
    }
    status = await aget_feed_status()
    assert status is not None
    assert (status.source, status.simulated, status.sol_usd) == ("scripted", True, Decimal(100))
    assert (status.tokens, status.priced, status.errors, status.interval_seconds) == (2, 2, [], 1.5)
    assert (result.tokens, result.priced, result.changed, result.errors) == (2, 2, 3, ())
    assert result.oldest_age_seconds is not None
    assert result.oldest_age_seconds >= 0


async def test_round_publishes_what_changed_in_one_call(feed, source, wire, holding):
    await feed.round()
    assert wire.batches == [{BONK: "0.5", WIF: "0.25", WRAPPED_SOL: "1"}]
    source.prices[WIF] = Decimal("0.26")
    result = await feed.round()
    assert wire.batches[1:] == [{WIF: "0.26"}]
    assert (result.priced, result.changed) == (2, 1)


async def test_round_without_change_publishes_nothing(feed, wire, holding):
    await feed.round()
    result = await feed.round()
    assert len(wire.batches) == 1
    assert result.changed == 0


async def test_round_price_of_sol_in_usd_changes_every_quote(feed, source, wire, holding):
    await feed.round()
    source.sol_usd = Decimal(101)
    await feed.round()
    assert wire.batches[1].keys() == {BONK, WIF, WRAPPED_SOL}


@pytest.mark.both_databases
async def test_round_new_position_is_priced_and_closed_one_no_longer(feed, source, wire, holding, wallet):
    await feed.round()
    await sync_to_async(close_position)(position_id=holding.pk, proceeds_sol=Decimal(1), reason="sold")
    await feed.round()
    assert {token.address for token in source.asked[1]} == {BONK, WRAPPED_SOL}
    await sync_to_async(open_position)(
        wallet=wallet, token_address=WIF, token_symbol="WIF", tokens=Decimal(10), spent_sol=Decimal(1)
    )
    await feed.round()
    assert wire.batches[1:] == [{WIF: "0.25"}]


async def test_round_nothing_held_still_asks_for_sol(feed, source, db):
    result = await feed.round()
    assert source.asked == [{Token(WRAPPED_SOL, "SOL")}]
    assert (result.tokens, result.priced, result.oldest_age_seconds) == (0, 0, None)


async def test_round_source_failing_keeps_prices_with_their_age(feed, source, wire, holding):
    await feed.round()
    source.failure = SourceError("The API answered 503.")
    result = await feed.round()
    assert result.errors == ("The API answered 503.",)
    assert (result.tokens, result.priced, result.changed) == (2, 0, 0)
    assert result.oldest_age_seconds is not None
    assert (await aget_prices([BONK])).quotes[BONK].price == Decimal("0.5")
    status = await aget_feed_status()
    assert status is not None
    assert (status.errors, status.priced, status.sol_usd) == (["The API answered 503."], 0, Decimal(100))


async def test_round_part_of_the_source_failing_prices_the_rest(feed, source, wire, holding):
    await feed.round()
    source.prices = {WIF: Decimal("0.3")}
    source.errors = ["1 of 2 batches failed."]
    result = await feed.round()
    assert (result.priced, result.changed, result.errors) == (1, 1, ("1 of 2 batches failed.",))
    prices = await aget_prices([BONK, WIF])
    assert {a: quote.price for a, quote in prices.quotes.items()} == {
        BONK: Decimal("0.5"),
        WIF: Decimal("0.3"),
    }


async def test_round_source_hanging_is_given_up(source, wire, holding):
    feed = PriceFeed(source, wire.publish, 1.5, deadline_seconds=0.05)
    source.hang = True
    result = await feed.round()
    assert result.errors == ("scripted did not answer within 0.05 s.",)
    source.hang = False
    assert (await feed.round()).changed == 3


async def test_round_cache_away_is_an_error_and_everything_comes_again(feed, wire, holding, valkey_turned):
    await feed.round()
    await valkey_turned("off")
    [error] = (await feed.round()).errors
    assert error.startswith("The price cache cannot be written: ")
    await valkey_turned("on")
    valkey.client().flushdb()
    result = await feed.round()
    assert result.errors == ()
    assert result.changed == 3
    assert wire.batches[-1].keys() == {BONK, WIF, WRAPPED_SOL}
    assert (await aget_prices([BONK, WIF])).quotes.keys() == {BONK, WIF}


async def test_round_after_cache_outage_writes_prices_of_failed_batches_too(
    feed, source, holding, valkey_turned
):
    await feed.round()
    await valkey_turned("off")
    await feed.round()
    await valkey_turned("on")
    valkey.client().flushdb()
    source.prices = {WIF: Decimal("0.3")}
    await feed.round()
    assert (await aget_prices([BONK, WIF])).quotes.keys() == {BONK, WIF}


async def test_round_after_the_cache_was_emptied_writes_all_prices_though_the_source_fails(
    feed, source, holding
):
    """The feed sees no error: nothing but its own memory has these prices."""
    await feed.round()
    valkey.client().flushdb()
    source.failure = SourceError("The API answered 503.")
    await feed.round()
    prices = await aget_prices([BONK, WIF])
    assert {a: quote.price for a, quote in prices.quotes.items()} == {
        BONK: Decimal("0.5"),
        WIF: Decimal("0.25"),
    }


async def test_round_channel_layer_away_is_an_error_and_everything_is_published_again(
    feed, source, wire, holding
):
    await feed.round()
    wire.failure = ConnectionRefusedError("connection refused")
    source.prices[BONK] = Decimal("0.6")
    result = await feed.round()
    assert result.errors == ("The prices cannot be sent to the servers: connection refused.",)
    assert result.changed == 0
    wire.failure = None
    result = await feed.round()
    assert wire.batches[-1] == {BONK: "0.6", WIF: "0.25", WRAPPED_SOL: "1"}
    assert result.changed == 3


@pytest.mark.both_databases
async def test_round_database_failing_is_an_error_and_the_last_tokens_are_priced(
    feed, source, wire, holding, caplog
):
    await feed.round()
    table = Position._meta.db_table

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    await sync_to_async(rename)(table, "elsewhere")
    try:
        source.prices[BONK] = Decimal("0.7")
        result = await feed.round()
        assert (await feed.round()).errors == result.errors
    finally:
        await sync_to_async(rename)("elsewhere", table)
    # A missing table is a bug: its traceback is logged once.
    assert caplog.text.count("because of a bug\nTraceback") == 1
    [error] = result.errors
    assert error.startswith("The held tokens cannot be read from the database: ")
    assert "\n" not in error
    assert wire.batches[1:] == [{BONK: "0.7"}]
    assert (await feed.round()).errors == ()


async def test_run_ends_after_its_rounds_and_reports_each(source, wire, sleep, holding):
    results: list[Round] = []
    await PriceFeed(source, wire.publish, 1.5, sleep=sleep, on_round=results.append).run(3)
    assert [result.changed for result in results] == [3, 0, 0]
    assert len(source.asked) == 3


class Clock:
    """Time that passes only in sleeps and, `round_seconds` at a time, in rounds."""

    def __init__(self, round_seconds: list[float]) -> None:
        self.now = 0.0
        self.begun: list[float] = []
        self.round_seconds = round_seconds

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def during_round(self) -> None:
        self.begun.append(self.now)
        self.now += self.round_seconds[min(len(self.begun), len(self.round_seconds)) - 1]


async def begin_times(source: ScriptedSource, round_seconds: list[float]) -> list[float]:
    """Run a round for each entry, and return when each began."""
    clock = Clock(round_seconds)
    fetch = source.fetch

    async def slow(tokens: Collection[Token]) -> Prices:
        clock.during_round()
        return await fetch(tokens)

    source.fetch = slow  # type: ignore[method-assign]
    await PriceFeed(source, Wire().publish, 1.5, sleep=clock.sleep, clock=clock).run(len(round_seconds))
    return clock.begun


async def test_run_keeps_its_cadence_whatever_a_round_takes(source, db):
    assert await begin_times(source, [0.2, 1.4, 0.0, 0.5]) == pytest.approx([0.0, 1.5, 3.0, 4.5])


async def test_run_slow_round_is_not_made_up_for(source, db):
    assert await begin_times(source, [7.0, 0.1, 0.1]) == pytest.approx([0.0, 7.0, 8.5])


async def test_run_failing_source_is_asked_less_often_up_to_a_limit(source, db):
    source.failure = SourceError("no")
    begun = await begin_times(source, [0.0] * 200)
    waits = [after - before for before, after in pairwise(begun)]
    assert 1.5 <= waits[0] <= 4.5
    assert max(waits) <= 31.5
    assert max(waits[20:]) > 20
    assert min(waits) >= 1.5 - 1e-6


async def test_run_source_that_recovers_is_asked_at_the_usual_pace_again(source, feed, slept, db):
    source.failure = SourceError("no")
    await feed.run(5)
    source.failure = None
    await feed.round()
    slept.clear()
    await feed.run(2)
    assert slept[0] <= 1.5


async def test_run_cancelled_ends_at_once(source, wire, holding):
    feed = PriceFeed(source, wire.publish, 1.5)
    source.hang = True
    running = asyncio.create_task(feed.run())
    await asyncio.wait_for(source.is_asked.wait(), PATIENCE_SECONDS)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
