"""The status of prices, as a server process learns it and sends it to its sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from asgiref.sync import sync_to_async
from hypothesis import given, settings
from hypothesis import strategies as st

from positions import valkey
from positions.prices.cache import put_prices
from positions.prices.last_quotes import write_last_quotes
from positions.prices.quotes import Market, Quote
from positions.services import move_stop_loss
from realtime.hub import price_fan_out
from realtime.hub.latest_prices import LatestPrices
from realtime.protocol.messages import followed_by
from realtime.protocol.price_envelopes import price_message, read_prices
from tests.conftest import BONK, WIF, quote
from tests.live import Client, watching
from tests.realtime.test_price_fan_out import House

POOL = Market("live", Decimal(50_000), Decimal(16_666), Decimal(166))
THIN = replace(POOL, status="thin", pool_tokens=Decimal(38_326), pool_sol=Decimal("0.00002161"))
PLAIN = {"tokenAddress", "price", "priceUsd"}


def receive_batch(prices: LatestPrices, *quotes: Quote) -> dict[str, dict[str, Any]]:
    """Receive a batch; return what is sent to clients, by token."""
    return as_read(
        {
            token: text
            for each in read_prices(price_message(quotes))
            for token, text in prices.remember(each).items()
        }
    )


def test_markets_survive_their_way_between_processes_and_are_only_sent_where_they_are_news():
    gone = Market("gone", Decimal(0), Decimal(0), Decimal(0), datetime.now(UTC))
    quotes = [seen_in(POOL), quote(WIF, "0.5"), replace(seen_in(gone), token_address="other")]
    packed = msgspec.msgpack.encode(price_message(quotes))
    markets: dict[str, Market] = {}
    for each in read_prices(msgspec.msgpack.decode(packed)):
        markets |= each.markets
    assert markets == {BONK: POOL, "other": gone}
    plain = price_message([quote(WIF, "0.5")])["priced"][0]
    assert plain.keys() == {"as_of", "fragments", "digits"}  # as the releases before wrote it


def as_read(fragments: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {token: json.loads(fragment) for token, fragment in fragments.items()}


def seen_in(market: Market | None, price: str = "0.01") -> Quote:
    return replace(quote(BONK, price, "1.5"), market=market)


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_live_price_that_stays_live_is_sent_as_ever():
    prices = LatestPrices()
    first = receive_batch(prices, seen_in(POOL))[BONK]
    assert (first["priceStatus"], first["poolTokens"], first["poolSol"]) == ("live", 16_666, 166)
    assert receive_batch(prices, seen_in(None, "0.011"))[BONK].keys() == PLAIN
    assert receive_batch(prices, seen_in(replace(POOL, liquidity_usd=Decimal(60_000))))[BONK].keys() == PLAIN


def test_change_of_status_is_news_while_the_price_stands_still():
    prices = LatestPrices()
    receive_batch(prices, seen_in(POOL))
    thin = receive_batch(prices, seen_in(THIN))[BONK]
    assert thin == {
        "tokenAddress": BONK,
        "price": 0.01,
        "priceUsd": 1.5,
        "priceStatus": "thin",
        "poolTokens": 38_326,
        "poolSol": 0.00002161,
    }
    gone = Market("gone", Decimal(0), Decimal(0), Decimal(0), datetime.now(UTC))
    assert receive_batch(prices, seen_in(gone))[BONK]["priceStatus"] == "gone"
    known = prices.quote(BONK)
    assert known is not None
    assert (known.status, known.priced_at) == ("gone", gone.priced_at)
    assert receive_batch(prices, seen_in(POOL))[BONK]["priceStatus"] == "live"


def test_reserves_are_sent_where_they_have_moved_and_the_status_is_not():
    prices = LatestPrices()
    receive_batch(prices, seen_in(POOL))
    moved = receive_batch(prices, seen_in(replace(POOL, pool_sol=Decimal(120))))[BONK]
    assert moved.keys() == PLAIN | {"poolTokens", "poolSol"}


def test_reserves_that_are_no_longer_known_are_sent_as_null():
    prices = LatestPrices()
    receive_batch(prices, seen_in(POOL))
    curve = receive_batch(prices, seen_in(Market("live")))[BONK]
    assert (curve["poolTokens"], curve["poolSol"]) == (None, None)
    assert receive_batch(prices, seen_in(None))[BONK].keys() == PLAIN


def test_price_that_nobody_confirms_becomes_stale_once_and_live_again(settings):
    prices, seen = LatestPrices(), seen_in(POOL)
    receive_batch(prices, seen, quote(WIF, "0.5"))
    assert prices.aged([BONK, WIF, "unknown"], seen.as_of + timedelta(seconds=59)) == {}
    old = as_read(prices.aged([BONK], later(61)))
    assert old == {BONK: {"tokenAddress": BONK, "price": 0.01, "priceUsd": 1.5, "priceStatus": "stale"}}
    assert prices.aged([BONK], later(62)) == {}
    known = prices.quote(BONK)
    assert known is not None
    assert (known.status, known.market) == ("stale", POOL)
    assert receive_batch(prices, seen_in(None))[BONK]["priceStatus"] == "live"
    assert receive_batch(prices, seen_in(None))[BONK].keys() == PLAIN


def test_thin_price_that_was_stale_is_thin_again():
    prices = LatestPrices()
    receive_batch(prices, seen_in(THIN))
    prices.aged([BONK], later(61))
    assert receive_batch(prices, seen_in(None))[BONK]["priceStatus"] == "thin"


def test_answer_that_is_itself_too_old_makes_nothing_live():
    prices = LatestPrices()
    old = replace(seen_in(POOL), as_of=later(-90))
    assert as_read(prices.learn([old]))[BONK]["priceStatus"] == "stale"
    assert receive_batch(prices, replace(old, as_of=later(-80)))[BONK].keys() == PLAIN
    assert receive_batch(prices, seen_in(None))[BONK]["priceStatus"] == "live"


def test_client_that_may_have_missed_something_gets_everything():
    prices = LatestPrices()
    receive_batch(prices, seen_in(POOL), quote(WIF, "0.5"))
    assert as_read(prices.fragments([BONK]))[BONK].keys() == PLAIN
    full = as_read(prices.fragments([BONK, WIF, "unknown"], in_full=True))
    assert (full[BONK]["priceStatus"], full[BONK]["poolSol"]) == ("live", 166)
    assert full[WIF].keys() == PLAIN | {"priceStatus"}
    receive_batch(prices, seen_in(THIN))
    assert as_read(prices.fragments([BONK]))[BONK]["priceStatus"] == "thin"


def test_slow_client_hears_of_a_status_that_a_newer_price_left_out():
    prices = LatestPrices()
    receive_batch(prices, seen_in(POOL))
    [(_, thin)] = prices.remember(next(iter(read_prices(price_message([seen_in(THIN)]))))).items()
    [(_, plain)] = prices.remember(next(iter(read_prices(price_message([seen_in(None, "0.02")]))))).items()
    both = json.loads(followed_by(thin, plain))
    assert (both["price"], both["priceStatus"], both["poolSol"]) == (0.02, "thin", 0.00002161)
    assert followed_by(plain, plain) == plain


async def test_cache_tells_a_status_whose_batch_was_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(price_fan_out, "GRACE_SECONDS", 0.0)
    house = House([BONK])
    before = seen_in(POOL)
    await house.batch(before)
    # Of the same moment as what is known: a later batch without the market came, and the one with it did not.
    await put_prices([replace(before, market=THIN)])
    await house.fan_out.refresh()
    await house.fan_out.refresh()
    [_, update] = [json.loads(text)["data"]["updates"][0] for text in house.texts[0]]
    assert (update["priceStatus"], update["poolSol"]) == ("thin", 0.00002161)


async def test_confirmed_price_stays_live_though_no_batch_comes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(price_fan_out, "GRACE_SECONDS", 0.0)
    house = House([BONK])
    await house.batch(replace(seen_in(POOL), as_of=later(-30)))
    await put_prices([seen_in(POOL)])  # the same price, of now
    await house.fan_out.refresh()
    await house.fan_out.age()
    assert len(house.texts[0]) == 1


async def test_sockets_get_that_a_price_is_stale_though_the_cache_is_away(settings):
    settings.NEXGENT = {**settings.NEXGENT, "PRICE_STALE_SECONDS": 1e-9}
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": "unix:///nowhere/valkey.sock"}
    await valkey.close_async_client()
    house = House([BONK], [BONK], [WIF])
    await house.batch(seen_in(POOL))
    with pytest.raises(valkey.Unavailable):
        await house.fan_out.refresh()
    await house.fan_out.age()
    await house.fan_out.age()
    await valkey.close_async_client()
    statuses = [
        [update.get("priceStatus") for text in texts for update in json.loads(text)["data"]["updates"]]
        for texts in house.texts
    ]
    assert statuses == [["stale"], ["stale"], []]


@pytest.mark.django_db(transaction=True)
async def test_stream_starts_with_what_the_database_last_knew(settings):
    """The cache is empty and the source down, or without the cache at all: never the purchase price again."""
    await sync_to_async(write_last_quotes)([replace(seen_in(THIN), as_of=later(-3600))])
    house = House([BONK])
    await house.fan_out.learn([BONK, "never priced"], ask_source=True)
    known = house.fan_out._latest.quote(BONK)
    assert known is not None
    assert (known.status, known.price, known.market) == ("stale", Decimal("0.01"), THIN)
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": "unix:///nowhere/valkey.sock"}
    await valkey.close_async_client()
    other = House([BONK])
    await other.fan_out.learn([BONK], ask_source=True)
    await valkey.close_async_client()
    [update] = json.loads(other.texts[0][0])["data"]["updates"]
    assert (update["price"], update["priceStatus"]) == (0.01, "stale")


class Model:
    """What a client knows after the updates that it was sent."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self._waiting: dict[str, str] = {}

    def take(self, fragments: dict[str, str]) -> None:
        for token, update in as_read(fragments).items():
            before = self.known.get(token, {"priceStatus": "none", "poolTokens": None, "poolSol": None})
            self.known[token] = before | update

    def conflate(self, fragments: dict[str, str]) -> None:
        """Be too slow to read: only the newest is sent later."""
        for token, text in fragments.items():
            self._waiting[token] = followed_by(self._waiting[token], text) if token in self._waiting else text

    def flush(self) -> None:
        self.take(self._waiting)
        self._waiting = {}


MARKETS = [None, POOL, THIN, Market("live"), Market("gone", Decimal(0), Decimal(0), Decimal(0))]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["batch", "late batch", "cache", "ages", "reads", "resumes"]),
        st.sampled_from([BONK, WIF]),
        st.sampled_from(["0.01", "0.02"]),
        st.sampled_from(MARKETS),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(STEPS)
def test_updates_add_up_to_what_a_new_client_is_told(steps):
    """Whatever came in between, by whichever way, and for a client that was too slow for some of it."""
    prices, quick, slow, begun = LatestPrices(), Model(), Model(), datetime.now(UTC)
    for number, (step, token, price, market) in enumerate(steps):
        as_of = begun + timedelta(milliseconds=number - (30 if step == "late batch" else 0))
        quote = Quote(token, Decimal(price), None, as_of, market)
        if step in {"batch", "late batch"}:
            [batch] = read_prices(price_message([quote]))
            sent = prices.remember(batch)
        elif step == "cache":
            sent = prices.learn([quote])
        elif step == "resumes":
            sent = prices.fragments([token], in_full=True)
        else:
            sent = prices.aged([token], begun + timedelta(hours=1)) if step == "ages" else {}
        quick.take(sent)
        slow.conflate(sent)
        if step == "reads":
            slow.flush()
    slow.flush()
    for token in (BONK, WIF):
        now = prices.quote(token)
        if now is None:
            assert token not in quick.known
            continue
        pool = now.market or Market()
        assert (
            slow.known[token]
            == quick.known[token]
            == {
                "tokenAddress": token,
                "price": float(now.price),
                "priceUsd": None,
                "priceStatus": now.status,
                "poolTokens": None if pool.pool_tokens is None else float(pool.pool_tokens),
                "poolSol": None if pool.pool_sol is None else float(pool.pool_sol),
            }
        )


# Over a server


@asynccontextmanager
async def feeding(market: Market) -> AsyncIterator[None]:
    """Confirm the same price over and over, as a feed does that sends no message for it."""

    async def feed() -> None:
        while True:
            await put_prices([seen_in(market, "0.000003")])
            await asyncio.sleep(0.1)

    task = asyncio.create_task(feed())
    yield
    task.cancel()
    await asyncio.wait({task})


async def told_to(socket: Client, status: str) -> dict[str, Any]:
    """Return the first update that has this status."""
    while True:
        updates: list[dict[str, Any]] = (await socket.until("price_update_batch"))["data"]["updates"]
        for update in updates:
            if update.get("priceStatus") == status:
                return update


@pytest.mark.django_db(transaction=True)
async def test_open_socket_is_told_that_its_price_is_stale_and_live_again(
    shared_server, alice, agent, position
):
    server = shared_server("uvicorn", NEXGENT_RECONCILE_SECONDS="0.2", NEXGENT_PRICE_STALE_SECONDS="1.5")
    async with watching(server, alice, agent) as socket:
        async with feeding(POOL):
            await told_to(socket, "live")
        update = await told_to(socket, "stale")
        assert update["price"] == 0.000003
        assert update.keys() == PLAIN | {"priceStatus"}
        await sync_to_async(move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
        moved = (await socket.until("position_update"))["data"]["position"]
        assert (moved["priceStatus"], moved["liquidityUsd"]) == ("stale", 50_000)
        async with feeding(POOL):
            await told_to(socket, "live")
