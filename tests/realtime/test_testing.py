"""realtime.testing, as other projects' tests use it."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings

from positions import services, valkey
from positions.prices.cache import get_feed_status, get_prices
from realtime.testing import PATIENCE_SECONDS
from realtime.testing.hub import close_connections, end_hub
from realtime.testing.layers import InMemoryLayer
from realtime.testing.own_valkey import own_valkey
from realtime.testing.sockets import SocketClosed, connect
from tests.conftest import BONK, WIF
from tests.contract import check_from_server
from tests.lost_connections import in_use
from tests.waiting import eventually

in_thread = sync_to_async


async def test_socket_yields_what_happens_to_its_agent(realtime_socket, fake_market, alice, agent, position):
    async with realtime_socket(alice, agent) as socket:
        check_from_server(json.loads(socket.raw))
        assert [held["id"] for held in socket.initial["positions"]] == [str(position.pk)]
        await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
        assert (await socket.expect("position_update"))["data"]["seq"] == 2
        await fake_market.set_prices({BONK: "0.0000031"})
        [update] = (await socket.expect("price_update_batch"))["data"]["updates"]
        assert (update["price"], update["priceUsd"]) == (Decimal("0.0000031"), Decimal("0.00062"))
        await socket.send("ping")
        assert (await socket.expect("pong"))["type"] == "pong"
        await socket.send("subscribe", agentId="nonsense")
        with pytest.raises(AssertionError, match=r'^expected pong, got \{"type":"error"'):
            await socket.expect("pong")


async def test_socket_is_an_iterator_that_ends_with_the_socket(realtime_socket, alice, agent):
    async with realtime_socket(alice, agent) as older, realtime_socket(alice, agent) as newer:
        assert [message["type"] async for message in older] == ["closing"]
        async with realtime_socket(alice, agent):
            await newer.expect("closing")
            with pytest.raises(SocketClosed, match=r"^closed with 1000 New connection established$"):
                await newer.expect("pong")


async def test_watching_socket_ends_no_other(realtime_socket, alice, agent):
    async with realtime_socket(alice, agent) as owner, realtime_socket(alice, agent, mode="watch"):
        await owner.send("ping")
        await owner.expect("pong")


@pytest.mark.postgresql
async def test_sockets_that_wait_at_once_give_every_database_connection_back(realtime_socket, alice, agent):
    async with (
        realtime_socket(alice, agent) as owner,
        realtime_socket(alice, agent, mode="watch") as watcher,
    ):
        pongs = [asyncio.create_task(socket.expect("pong")) for socket in (owner, watcher)]
        for socket in (owner, watcher):
            await socket.send("ping")
        await asyncio.gather(*pongs)

        async def given_back() -> bool:
            return in_use() <= 1  # that of this test itself

        await eventually(given_back, "the sockets' connections were given back")


async def test_refused_user_is_seen_in_the_failure(realtime_socket, bob, agent):
    with pytest.raises(AssertionError, match=r"^expected connected, got .*agent_not_found"):
        async with realtime_socket(bob, agent):
            pass


def test_hub_leaves_no_task_in_its_event_loop(alice, transactional_db):
    async def conversation() -> Any:
        async with connect(token="nonsense") as socket:
            assert (await socket.closed())[:2] == (1008, "Authentication failed")
        await end_hub()
        await close_connections()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(conversation()) == set()


@pytest.mark.parametrize("status", ["live", "thin", "gone", "stale"])
async def test_market_gives_a_price_every_status(
    realtime_socket, fake_market, alice, agent, position, status
):
    async with realtime_socket(alice, agent) as socket:
        await fake_market.set_prices({BONK: "0.0000031", WIF: 2}, status=status, pool=(10**9, 500))
        [update] = (await socket.expect("price_update_batch"))["data"]["updates"]
    assert (update["tokenAddress"], update["priceStatus"]) == (BONK, status)


async def test_socket_that_opens_later_gets_the_price(realtime_socket, fake_market, alice, agent, position):
    await fake_market.set_prices({BONK: "0.0000031"})
    async with realtime_socket(alice, agent) as socket:
        assert socket.initial["positions"][0]["currentPrice"] == Decimal("0.0000031")


def test_rest_has_the_price_and_knows_the_token(fake_market, token_for, client, alice, position):
    fake_market.sol_usd = None
    fake_market.set_prices_sync({BONK: "0.0000031"})
    headers = {"Authorization": f"Bearer {token_for(alice, read_only=True)}"}
    [held] = client.get("/api/positions/", headers=headers).json()["results"]
    assert (held["currentPrice"], held["currentPriceUsd"]) == (0.0000031, None)
    assert client.post("/api/agents/", {"name": "x"}, headers=headers).status_code == 403
    fake_market.forget()
    assert (get_prices([BONK]).quotes, get_feed_status()) == ({}, None)


@pytest.mark.parametrize(
    ("price", "status", "problem"),
    [
        ("0", "live", "the price of B must be above 0"),
        ("NaN", "live", "the price of B must be above 0"),
        ("two", "live", "'two' is not a number"),
        (0.1, "live", "not the float 0.1"),
        ("1", "none", "a price is live, thin, gone or stale, not 'none'"),
    ],
)
async def test_market_refuses_what_no_feed_sends(fake_market, price, status, problem):
    with pytest.raises(ValueError, match=problem):
        await fake_market.set_prices({"B": price}, status=status)


IN_MEMORY = {"default": {"BACKEND": "realtime.testing.layers.InMemoryLayer"}}


async def test_socket_needs_no_other_process_for_the_channel_layer(
    settings, realtime_socket, fake_market, alice, agent, position
):
    settings.CHANNEL_LAYERS = IN_MEMORY
    asyncio.get_running_loop().set_debug(
        True
    )  # it raises where another thread calls it as if it were its own
    async with realtime_socket(alice, agent) as socket:
        for seq in (2, 3):
            await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-seq))
            assert (await socket.expect("position_update"))["data"]["seq"] == seq
        await fake_market.set_prices({BONK: "0.0000031"})
        await socket.expect("price_update_batch")


def test_valkey_of_its_own_leaves_a_layer_in_memory_as_it_is(settings):
    settings.CHANNEL_LAYERS = IN_MEMORY
    with own_valkey():
        assert settings.CHANNEL_LAYERS == IN_MEMORY


async def test_layer_in_memory_wakes_the_receiver_in_another_thread():
    layer = InMemoryLayer()
    asyncio.get_running_loop().set_debug(True)
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    for number in range(3):
        receiving = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)  # it waits now
        message = {"type": "counted", "number": number}
        await asyncio.to_thread(asyncio.run, layer.group_send("group", message))
        assert await asyncio.wait_for(receiving, PATIENCE_SECONDS) == message


def test_valkey_of_its_own_is_what_the_settings_name_until_it_ends():
    before, layers = django_settings.NEXGENT["REDIS_URL"], django_settings.CHANNEL_LAYERS
    with own_valkey() as url:
        assert url != before
        assert django_settings.NEXGENT["REDIS_URL"] == url
        assert django_settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"][0]["address"] == url
        assert valkey.client().dbsize() == 0
        valkey.client().set("x", 1)
    assert (django_settings.NEXGENT["REDIS_URL"], django_settings.CHANNEL_LAYERS) == (before, layers)
    assert valkey.client().get("x") is None
