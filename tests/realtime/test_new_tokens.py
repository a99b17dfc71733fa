"""The price of a token that an event introduces: clients of the seed read prices only from `price_update_batch`."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from positions import services
from positions.models import Agent, Mode, Position, Wallet
from positions.prices.cache import put_prices
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import BONK, fresh_token, quote
from tests.live import Client, Server, StartServer, access_token, client, watching

in_thread = sync_to_async


def buy(wallet: Wallet, *tokens: str) -> list[Position]:
    return [
        services.open_position(
            wallet=wallet, token_address=token, token_symbol="NEW", tokens=Decimal(10), spent_sol=Decimal(1)
        )
        for token in tokens
    ]


def buy_silently(wallet: Wallet, *tokens: str) -> None:
    """Buy in a process whose messages are lost."""
    with transaction.atomic():
        buy(wallet, *tokens)
        connection.run_on_commit.clear()


async def expect_event(socket: Client, kind: str, token: str | None = None) -> dict[str, Any]:
    data: dict[str, Any] = (await socket.expect("position_update"))["data"]
    assert data["eventType"] == kind
    if token:
        assert data["position"]["tokenAddress"] == token
    return data


async def expect_prices(socket: Client, **prices: float) -> None:
    updates = (await socket.expect("price_update_batch"))["data"]["updates"]
    assert {update["tokenAddress"]: update["price"] for update in updates} == prices


async def expect_nothing(socket: Client) -> None:
    await socket.send(type="ping")
    await socket.expect("pong")


@pytest.fixture
def token() -> str:
    return fresh_token()


@pytest.fixture
def second(agent: Agent) -> Wallet:
    return Wallet.objects.create(agent=agent, address="Second", kind=Mode.LIVE)


async def test_created_position_is_followed_by_the_price_of_its_token(server, alice, agent, wallet, token):
    await put_prices([quote(token, "0.25", "50")])
    async with watching(server, alice, agent) as socket:
        await in_thread(buy)(wallet, token)
        await expect_event(socket, "position_created", token)
        assert (await socket.expect("price_update_batch"))["data"]["updates"] == [
            {"tokenAddress": token, "price": 0.25, "priceUsd": 50}
        ]
        await expect_nothing(socket)


async def test_price_that_another_socket_of_the_process_has_received_follows_too(
    server, alice, agent, wallet, token
):
    """No look into the cache is needed for it."""
    other = await Agent.objects.acreate(owner=alice, name="beta")
    others = await Wallet.objects.acreate(agent=other, address="Beta")
    await in_thread(buy)(others, token)
    async with watching(server, alice, other) as first, watching(server, alice, agent) as socket:
        await broadcast_prices([quote(token, "0.25")])
        await expect_prices(first, **{token: 0.25})
        await in_thread(buy)(wallet, token)
        await expect_event(socket, "position_created", token)
        await expect_prices(socket, **{token: 0.25})
        await expect_nothing(socket)
        await expect_nothing(first)


async def test_event_of_a_token_that_is_held_already_brings_no_price(
    server, alice, agent, wallet, second, token
):
    await put_prices([quote(token, "0.25")])
    await in_thread(buy)(wallet, token)
    async with watching(server, alice, agent) as socket:
        (bought,) = await in_thread(buy)(second, token)
        await expect_event(socket, "position_created", token)
        await in_thread(services.move_stop_loss)(position_id=bought.pk, percentage=Decimal(-5))
        await expect_event(socket, "position_updated", token)
        await expect_nothing(socket)


async def test_token_that_migrates_is_followed(server, alice, agent, wallet, token):
    new = fresh_token()
    await put_prices([quote(token, "0.25"), quote(new, "2.5")])
    (bought,) = await in_thread(buy)(wallet, token)
    async with watching(server, alice, agent) as socket:
        await in_thread(services.migrate_token)(
            position_id=bought.pk, token_address=new, ratio=Decimal("0.1")
        )
        event = await expect_event(socket, "position_updated", new)
        assert (event["position"]["currentPrice"], event["position"]["profitLossSol"]) == (2.5, 1.5)
        await expect_prices(socket, **{new: 2.5})
        await broadcast_prices([quote(token, "0.3"), quote(new, "3")])
        await expect_prices(socket, **{new: 3})


async def test_token_that_was_sold_and_is_bought_again_is_new(server, alice, agent, wallet, token):
    await put_prices([quote(token, "0.25")])
    (bought,) = await in_thread(buy)(wallet, token)
    async with watching(server, alice, agent) as socket:
        await in_thread(services.close_position)(position_id=bought.pk, proceeds_sol=Decimal(1))
        await expect_event(socket, "position_closed")
        await in_thread(buy)(wallet, token)
        await expect_event(socket, "position_created", token)
        await expect_prices(socket, **{token: 0.25})


async def test_position_that_comes_from_another_agent_is_followed_by_its_price(
    server, alice, agent, wallet, token
):
    other = await Agent.objects.acreate(owner=alice, name="beta")
    others = await Wallet.objects.acreate(agent=other, address="Beta")
    await put_prices([quote(token, "0.25")])
    (bought,) = await in_thread(buy)(others, token)
    async with watching(server, alice, agent) as socket:
        await in_thread(Position.objects.filter(pk=bought.pk).update)(agent=agent, wallet=wallet)
        await expect_event(socket, "position_created", token)
        await expect_prices(socket, **{token: 0.25})


async def test_update_to_another_token_is_followed_by_its_price_and_by_none_of_the_old_one(
    server, alice, agent, position, token
):
    await put_prices([quote(token, "0.25"), quote(BONK, "0.5")])
    async with watching(server, alice, agent) as socket:
        await in_thread(Position.objects.filter(pk=position.pk).update)(token_address=token)
        await expect_event(socket, "position_updated", token)
        await expect_prices(socket, **{token: 0.25})
        await broadcast_prices([quote(BONK, "0.75"), quote(token, "0.5")])
        await expect_prices(socket, **{token: 0.5})


async def test_token_without_a_price_is_followed_by_one_when_there_is_one(
    server, alice, agent, wallet, token
):
    async with watching(server, alice, agent) as socket:
        await in_thread(buy)(wallet, token)
        await expect_event(socket, "position_created", token)
        await expect_nothing(socket)
        await broadcast_prices([quote(token, "0.25")])
        await expect_prices(socket, **{token: 0.25})


async def test_events_that_are_replayed_are_followed_by_the_prices_of_what_they_brought(
    server, alice, agent, wallet, position
):
    first, second = fresh_token(), fresh_token()
    await put_prices([quote(BONK, "0.5"), quote(first, "0.25"), quote(second, "0.125")])
    await in_thread(buy)(wallet, first, second)
    query = {"token": access_token(alice), "agentId": str(agent.pk), "lastSeq": "1"}
    async with client(server, query=query) as socket:
        await socket.expect("connected")
        await socket.expect("subscribed")
        await expect_event(socket, "position_created", first)
        await expect_event(socket, "position_created", second)
        await expect_prices(socket, **{BONK: 0.5, first: 0.25, second: 0.125})
        await expect_nothing(socket)


@pytest.fixture(params=["daphne", "uvicorn"])
def reconciling_server(request, transactional_db, shared_server: StartServer) -> Server:
    return shared_server(request.param, NEXGENT_RECONCILE_SECONDS="0.2")


async def test_events_that_fill_a_gap_are_each_followed_by_the_price_of_what_they_brought(
    reconciling_server, alice, agent, wallet, position
):
    tokens = [fresh_token(), fresh_token()]
    await put_prices([quote(tokens[0], "0.25"), quote(tokens[1], "0.125")])
    async with watching(reconciling_server, alice, agent) as socket:
        await in_thread(buy_silently)(wallet, *tokens)
        for token, price in zip(tokens, (0.25, 0.125), strict=True):
            await expect_event(socket, "position_created", token)
            await expect_prices(socket, **{token: price})
        await expect_nothing(socket)


async def test_price_never_comes_before_its_event_nor_older_than_one_that_came(server, alice, agent, wallet):
    """While prices move all the time."""
    tokens = [fresh_token() for _ in range(20)]
    stop = asyncio.Event()

    async def move_prices() -> None:
        price = 1
        while not stop.is_set():
            quotes = [quote(token, str(price)) for token in tokens]
            await put_prices(quotes)
            await broadcast_prices(quotes)
            price += 1
            await asyncio.sleep(0.002)  # a pace that buyer and reader can keep up with on a busy machine, too

    feed = asyncio.create_task(move_prices())
    try:
        async with watching(server, alice, agent) as socket:
            buying = asyncio.create_task(in_thread(buy)(wallet, *tokens))
            newest: dict[str, float] = {}
            priced: set[str] = set()
            while priced != set(tokens):
                message = await socket.receive()
                if message["type"] == "position_update":
                    newest[message["data"]["position"]["tokenAddress"]] = 0
                for update in message["data"].get("updates", ()):
                    assert update["price"] >= newest[update["tokenAddress"]]
                    newest[update["tokenAddress"]] = update["price"]
                    priced.add(update["tokenAddress"])
            await buying
    finally:
        stop.set()
        await feed
