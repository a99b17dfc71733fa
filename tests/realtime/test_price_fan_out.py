"""Prices to many sockets, while others arrive by another route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from positions import valkey
from positions.prices.cache import put_prices
from positions.prices.quotes import Quote
from realtime.hub import price_fan_out
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.outbox import Event, Outbox
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.token_index import SOCKETS_PER_TURN, TokenIndex
from realtime.protocol.price_envelopes import price_message
from tests.conftest import BONK, WIF, quote
from tests.waiting import eventually


def take(texts: list[str], text: str) -> bool:
    texts.append(text)
    return True


class House:
    """A fan-out and the sockets that it serves, each of which holds some tokens."""

    def __init__(self, *holdings: list[str], in_crowd: Callable[[], bool] = lambda: False) -> None:
        self.index = TokenIndex[Outbox]()
        self.fan_out = PriceFanOut(LatestPrices(), self.index, in_crowd=in_crowd)
        self.texts: list[list[str]] = [[] for _ in holdings]
        self.outboxes: list[Outbox] = []
        for texts, held in zip(self.texts, holdings, strict=True):
            outbox = Outbox(
                self._send,
                partial(take, texts),
                user_id=1,
                agent_id="a",
                index=self.index,
                max_unsent=5,
                retry_after_seconds=2.0,
                on_gap=lambda outbox: None,
                on_lost=lambda outbox: None,
                on_close=lambda outbox: None,
                on_new_token=self.fan_out.send_newest,
            )
            outbox.start([], 0, [(token, f"position in {token}") for token in held])
            self.outboxes.append(outbox)

    async def _send(self, message: dict) -> None:
        raise AssertionError("what can be written at once is")

    async def batch(self, *quotes: Quote) -> None:
        await self.fan_out.batch(price_message(quotes))

    def updates(self, socket: int = 0) -> list[list[tuple[str, float]]]:
        """Return the batches that one socket was sent."""
        batches = (json.loads(text)["data"]["updates"] for text in self.texts[socket])
        return [[(update["tokenAddress"], update["price"]) for update in batch] for batch in batches]

    def newest(self) -> list[list[str]]:
        """Return the tokens of the batch that each socket was sent, and forget it; none where there is none."""
        newest = [
            [token for batch in self.updates(socket) for token, _ in batch]
            for socket, _ in enumerate(self.texts)
        ]
        for texts in self.texts:
            texts.clear()
        return newest


def mgets() -> int:
    return int(valkey.client().info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"])


async def test_older_batch_that_made_way_never_follows_on_a_newer_one():
    both, one = SOCKETS_PER_TURN // 2, 3 * SOCKETS_PER_TURN - SOCKETS_PER_TURN // 2
    house = House(*both * [[BONK, WIF]], *one * [[BONK]])
    waiting = asyncio.create_task(house.batch(quote(BONK, "0.002"), quote(WIF, "0.5")))
    await asyncio.sleep(0)  # the first sockets have it, the others wait for their turn
    await house.batch(quote(WIF, "0.6"))  # to so few that it need not make way itself
    await waiting
    for socket in range(SOCKETS_PER_TURN // 2):
        prices = [price for batch in house.updates(socket) for token, price in batch if token == WIF]
        assert prices[-1] == 0.6
        assert prices == sorted(prices)


async def test_those_that_hold_a_token_are_sent_to_in_the_order_in_which_they_began():
    size = 2 * SOCKETS_PER_TURN
    house = House(*size * [[BONK], [WIF]])
    house.outboxes[0].hold_back()  # as one that moves to another agent, and begins anew
    house.outboxes[0].start([], 0, [(BONK, "position")])
    oldest_first = [*house.outboxes[2::2], house.outboxes[0]]
    assert house.index.holders({BONK}) == oldest_first
    assert house.index.everyone() == [*house.outboxes[1:], house.outboxes[0]]
    for outbox in house.outboxes:
        outbox.hold_back()
    assert [*house.index.everyone(), *house.index.tokens()] == []


async def test_batch_of_quotes_of_different_moments_is_one_message_to_each_socket():
    house = House([BONK, WIF])
    await house.batch(quote(BONK, "0.002"), quote(WIF, "0.5"))
    assert [sorted(batch) for batch in house.updates()] == [[(BONK, 0.002), (WIF, 0.5)]]


@pytest.mark.parametrize("priced", [1, 10, 17, 18, 19, 20])
async def test_socket_gets_what_it_holds_however_many_tokens_a_round_has(priced: int):
    """Of twenty tokens; rounds that have nearly all take another way through the code than others."""
    tokens = [f"token {number}" for number in range(20)]
    holdings = [tokens[begin : begin + size] for begin in range(20) for size in (1, 0, 2, 3)]
    house = House(*holdings)
    known = tokens[20 - priced :]
    await house.batch(*[quote(token, "0.1") for token in known])
    assert house.newest() == [[token for token in held if token in known] for held in holdings]
    # What is sold, here, and bought, there, in between counts from the next round on.
    bought = tokens[-1]
    sellers, buyers = house.outboxes[::2], house.outboxes[1::2]
    for outbox, held in zip(sellers, holdings[::2], strict=True):
        outbox.event(Event(1, "sold", f"position in {held[0]}" if held else "", None))
    for outbox in buyers:
        outbox.event(Event(1, "bought", "a new position", bought))
    for texts in house.texts:
        texts.clear()
    await house.batch(*[quote(token, "0.2") for token in known])
    after = [
        [*held, *({bought} - {*held})] if number % 2 else held[1:] for number, held in enumerate(holdings)
    ]
    assert house.newest() == [[token for token in held if token in known] for held in after]


async def test_batch_of_tokens_that_nobody_holds_sends_nothing():
    house = House([BONK, WIF])
    await house.batch(quote("other", "0.002"))
    assert house.updates() == []


async def test_refresh_sends_prices_whose_batch_never_came(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(price_fan_out, "GRACE_SECONDS", 0.0)
    house = House([BONK, WIF])
    await put_prices([quote(BONK, "0.002")])
    await house.fan_out.refresh()
    assert house.updates() == [[(BONK, 0.002)]]


async def test_refresh_reads_all_tokens_however_many_answers_they_come_in(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(price_fan_out, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(price_fan_out, "TOKENS_PER_READ", 1)
    house = House([BONK, WIF, "unpriced"])
    await put_prices([quote(BONK, "0.002"), quote(WIF, "0.5")])
    await house.fan_out.refresh()
    assert sorted(house.updates()) == [[(BONK, 0.002)], [(WIF, 0.5)]]
    await house.fan_out.refresh()
    assert len(house.updates()) == 2


async def test_stream_that_starts_in_a_crowd_reads_only_prices_that_the_rounds_do_not_bring(own_valkey):
    crowd = [False]
    house = House([BONK, WIF, "unpriced"], in_crowd=lambda: crowd[0])
    await put_prices([quote(BONK, "0.002"), quote(WIF, "0.5"), quote("new", "3")])
    await house.fan_out.learn([BONK, WIF], ask_source=True)
    assert sorted(house.updates()) == [[(BONK, 0.002), (WIF, 0.5)]]
    crowd[0] = True
    await put_prices([quote(BONK, "0.003"), quote("unpriced", "0.1")])
    before = mgets()
    await house.fan_out.learn([BONK, WIF], ask_source=True)
    assert mgets() == before
    await house.fan_out.learn([BONK, "unpriced", "new"], ask_source=True)
    assert house.updates()[1:] == [[("unpriced", 0.1)]]
    await house.fan_out.learn(["new"], ask_source=True)  # no stream holds it yet, so no round brings it
    assert mgets() == before + 2
    crowd[0] = False
    await house.fan_out.learn([BONK], ask_source=True)
    assert house.updates()[2:] == [[(BONK, 0.003)]]


async def test_refresh_waits_for_a_batch_in_transit(own_valkey, monkeypatch: pytest.MonkeyPatch):
    """The feed writes the cache, then sends: a look between the two would send it all twice."""
    sleep, has_come = asyncio.sleep, asyncio.Event()

    async def wait(seconds: float) -> None:
        await (has_come.wait() if seconds == price_fan_out.GRACE_SECONDS else sleep(seconds))

    monkeypatch.setattr(asyncio, "sleep", wait)  # however late the batch is on a slow machine
    house = House([BONK, WIF])
    round_ = quote(BONK, "0.002")
    await put_prices([round_])
    before = mgets()
    refreshing = asyncio.create_task(house.fan_out.refresh())
    while mgets() == before:
        await valkey.async_client().ping()
    await valkey.async_client().ping()  # the answer is here, too
    await house.batch(round_)
    has_come.set()
    await refreshing
    assert house.updates() == [[(BONK, 0.002)]]


async def test_refresh_waits_once_however_many_answers_the_prices_come_in(
    own_valkey, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(price_fan_out, "GRACE_SECONDS", 10_000.0)
    monkeypatch.setattr(price_fan_out, "TOKENS_PER_READ", 1)
    house = House([BONK, WIF, "unpriced"])
    await put_prices([quote(BONK, "0.002"), quote(WIF, "0.5")])
    before = mgets()
    refreshing = asyncio.create_task(house.fan_out.refresh())

    async def has_read_all() -> bool:
        return mgets() == before + 3

    await eventually(has_read_all, "the tokens of all answers are read before the wait")
    refreshing.cancel()


async def test_refresh_that_is_cancelled_while_it_sends_reaches_every_socket(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(price_fan_out, "GRACE_SECONDS", 0.0)
    house = House(*3 * SOCKETS_PER_TURN * [[BONK]])
    await put_prices([quote(BONK, "0.002")])
    refreshing = asyncio.create_task(house.fan_out.refresh())
    while not any(house.texts):  # noqa: ASYNC110  the turn in which the first of them are sent to
        await asyncio.sleep(0)
    assert not all(house.texts)
    refreshing.cancel()

    async def all_have_it() -> bool:
        return all(house.texts)

    await eventually(all_have_it, "every socket has the price")


async def test_prices_of_the_future_win_nothing_and_are_logged_once(caplog):
    """Forged, or of a machine whose clock is ahead by more than a minute."""
    house = House([BONK, WIF])
    far = replace(quote(BONK, "9"), as_of=datetime(9999, 12, 31, tzinfo=UTC))
    for _ in range(3):
        await house.batch(far)
    await house.batch(good := quote(BONK, "0.5"))
    await house.batch(replace(quote(WIF, "2"), as_of=datetime.now(UTC) + timedelta(seconds=30)))
    assert house.updates() == [[(BONK, 0.5)], [(WIF, 2.0)]]
    await house.batch(newer := quote(BONK, "0.625"))
    assert good.as_of < newer.as_of
    assert house.updates()[-1] == [(BONK, 0.625)]
    assert [record.name for record in caplog.records] == ["realtime.hub.clocks"]
