"""Prices to many sockets, while other prices come on another way."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest

from positions import valkey
from positions.prices.cache import put_prices
from positions.prices.quotes import Quote
from realtime import fan_out
from realtime.delivery import Delivery, TokenIndex
from realtime.fan_out import SOCKETS_PER_TURN, PriceFanOut
from realtime.layer import price_message
from realtime.price_book import PriceBook
from tests.conftest import BONK, WIF, quote


def take(texts: list[str], text: str) -> bool:
    texts.append(text)
    return True


class House:
    """A fan-out and the sockets that it serves; each holds BONK, and the first of them WIF, too."""

    def __init__(self, sockets: int, *, holders_of_wif: int = 1) -> None:
        self.index = TokenIndex()
        self.fan_out = PriceFanOut(PriceBook(), self.index)
        self.texts: list[list[str]] = [[] for _ in range(sockets)]
        for number, texts in enumerate(self.texts):
            delivery = Delivery(
                self._send,
                partial(take, texts),
                user_id=1,
                agent_id="a",
                index=self.index,
                max_unsent=5,
                retry_after_seconds=2.0,
                on_gap=lambda delivery: None,
                on_lost=lambda delivery: None,
                on_close=lambda delivery: None,
            )
            delivery.start([], 0, [(BONK, "1"), (WIF, "2")][: 1 + (number < holders_of_wif)])

    async def _send(self, message: dict) -> None:
        raise AssertionError("what can be written at once is")

    async def batch(self, *quotes: Quote) -> None:
        await self.fan_out.batch(price_message(quotes))

    def updates(self, socket: int = 0) -> list[list[tuple[str, float]]]:
        """Return the batches that one socket was sent."""
        batches = (json.loads(text)["data"]["updates"] for text in self.texts[socket])
        return [[(update["tokenAddress"], update["price"]) for update in batch] for batch in batches]


def mgets() -> int:
    return int(valkey.client().info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"])


async def test_older_batch_that_made_way_never_follows_on_a_newer_one():
    house = House(3 * SOCKETS_PER_TURN, holders_of_wif=SOCKETS_PER_TURN // 2)
    waiting = asyncio.create_task(house.batch(quote(BONK, "0.002"), quote(WIF, "0.5")))
    await asyncio.sleep(0)  # the first sockets have it, the others wait for their turn
    await house.batch(quote(WIF, "0.6"))  # to so few that it need not make way itself
    await waiting
    for socket in range(SOCKETS_PER_TURN // 2):
        prices = [price for batch in house.updates(socket) for token, price in batch if token == WIF]
        assert prices[-1] == 0.6
        assert prices == sorted(prices)


async def test_batch_of_quotes_of_different_moments_is_one_message_to_each_socket():
    house = House(1)
    await house.batch(quote(BONK, "0.002"), quote(WIF, "0.5"))
    assert [sorted(batch) for batch in house.updates()] == [[(BONK, 0.002), (WIF, 0.5)]]


async def test_batch_of_tokens_that_nobody_holds_sends_nothing():
    house = House(1)
    await house.batch(quote("other", "0.002"))
    assert house.updates() == []


async def test_refresh_sends_prices_whose_batch_never_came(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fan_out, "GRACE_SECONDS", 0.0)
    house = House(1)
    await put_prices([quote(BONK, "0.002")])
    await house.fan_out.refresh()
    assert house.updates() == [[(BONK, 0.002)]]


async def test_refresh_waits_for_a_batch_that_is_under_way():
    """The feed writes the cache, then sends: a look between the two would send it all twice."""
    house = House(1)
    round_ = quote(BONK, "0.002")
    await put_prices([round_])
    before = mgets()
    refreshing = asyncio.create_task(house.fan_out.refresh())
    while mgets() == before:
        await valkey.async_client().ping()
    await valkey.async_client().ping()  # the answer is here, too
    await house.batch(round_)
    await refreshing
    assert house.updates() == [[(BONK, 0.002)]]
