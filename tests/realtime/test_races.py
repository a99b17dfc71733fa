"""Races: each was a defect once, found by reading."""

from __future__ import annotations

import asyncio
import threading
import uuid
from decimal import Decimal

import msgspec
import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import connection, transaction
from rest_framework_simplejwt.tokens import AccessToken
from websockets.exceptions import InvalidStatus

from positions import services, valkey
from positions.models import Agent, PositionEvent, Wallet
from positions.prices.cache import put_prices
from realtime.protocol.envelopes import event_message
from realtime.protocol.messages import agent_group
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import BONK, WIF, quote
from tests.live import PATIENCE_SECONDS, Server, access_token, client, watching
from tests.realtime.test_resume import move, move_silently

in_thread = sync_to_async


@pytest.fixture
async def beta(alice):
    """Another agent of alice's, with WIF."""
    agent = await Agent.objects.acreate(owner=alice, name="beta")
    wallet = await Wallet.objects.acreate(agent=agent, address="Beta1")
    await in_thread(services.open_position)(
        wallet=wallet, token_address=WIF, token_symbol="WIF", tokens=Decimal(5), spent_sol=Decimal(1)
    )
    return agent


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_catching_up_that_ends_after_a_move_sends_nothing_of_the_old_agent(
    kind, transactional_db, shared_server, alice, agent, position, beta
):
    # Whose reconciler would read the events before the lock, where it came by then.
    server = shared_server(kind, NEXGENT_RECONCILE_SECONDS="3600")
    locked, release = threading.Event(), threading.Event()

    def hold_the_log() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE positions_positionevent IN ACCESS EXCLUSIVE MODE")
            locked.set()
            release.wait(PATIENCE_SECONDS)
        connection.close()

    async with watching(server, alice, agent) as socket:
        await in_thread(move_silently)(position, 1, 2)
        ahead = event_message(await PositionEvent.objects.aget(agent=agent, seq=3))
        holder = threading.Thread(target=hold_the_log)
        holder.start()
        assert await asyncio.to_thread(locked.wait, PATIENCE_SECONDS)
        await get_channel_layer().group_send(
            agent_group(agent.pk), ahead
        )  # a gap: its reading waits for the lock
        await socket.send(type="subscribe", data={"agentId": str(beta.pk)})
        await socket.expect("subscribed")
        assert (await socket.expect("initial_data"))["data"]["seq"] == 1
        release.set()
        await asyncio.to_thread(holder.join)
        held = await beta.positions.aget()
        await in_thread(move)(held, 5)
        update = (await socket.expect("position_update"))["data"]
        assert (update["seq"], update["position"]["agentId"]) == (2, str(beta.pk))


async def test_agent_handed_over_during_the_connect_shows_its_old_owner_nothing(
    server, alice, bob, agent, position
):
    # Joining waits for Valkey, after the agent was found to be alice's and before a change would be noticed.
    valkey.client().client_pause(round(1000 * PATIENCE_SECONDS), all=False)
    try:
        async with client(server, token=access_token(alice), agent=agent) as socket:
            await socket.expect("connected")
            agent.owner = bob
            await agent.asave()
            valkey.client().client_unpause()
            code, reason, messages = await socket.closed()
    finally:
        valkey.client().client_unpause()
    assert (code, reason) in {(1008, "Agent not found"), (1008, "Access revoked")}
    assert "initial_data" not in {message["type"] for message in messages}


async def test_price_that_a_newcomer_read_first_still_reaches_the_others(
    server, alice, agent, position, beta
):
    await in_thread(services.open_position)(
        wallet=await Wallet.objects.aget(agent=beta),
        token_address=BONK,
        token_symbol="BONK",
        tokens=Decimal(5),
        spent_sol=Decimal(1),
    )
    async with watching(server, alice, agent) as socket:
        news = quote(BONK, "0.375")
        await put_prices([news])  # the feed writes the cache first
        async with watching(server, alice, beta):  # someone connects in between
            await broadcast_prices([news])  # then the batch
            batch = await socket.expect("price_update_batch")
    assert batch["data"]["updates"][0]["price"] == 0.375


async def test_message_that_cannot_be_unpacked_loses_none_of_those_behind_it(server, alice, agent, position):
    async with watching(server, alice, agent) as socket:
        await in_thread(move_silently)(position, 1, 2)
        with valkey.client().pipeline(transaction=True) as pipeline:
            pipeline.publish("nexgent__group__prices", b"\xc1 is no MessagePack")
            async for event in PositionEvent.objects.filter(agent=agent, seq__gt=1).order_by("seq"):
                message = msgspec.msgpack.encode(event_message(event))
                pipeline.publish(f"nexgent__group__{agent_group(agent.pk)}", message)
            pipeline.execute()
        assert [(await socket.expect("position_update"))["data"]["seq"] for _ in range(2)] == [2, 3]


async def test_ownership_counter_that_was_reset_does_not_lock_the_newest_out(server, alice, agent, position):
    async with watching(server, alice, agent) as first:
        await valkey.async_client().set("nexgent:claims", 1)
        async with watching(server, alice, agent) as second:
            assert (await first.closed())[:2] == (1000, "New connection established")
            await in_thread(move)(position, 1)
            await second.expect("position_update")


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_connect_while_the_database_is_unavailable_is_told_to_try_later(kind, tmp_path):
    token = AccessToken()
    token["user_id"], token["sid"] = "1", str(uuid.uuid4())
    nowhere = "postgresql://nobody@127.0.0.1:9/nothing"
    environment = {"DATABASE_URL": nowhere, "NEXGENT_DATABASE_POOL_TIMEOUT_SECONDS": "0.5"}
    with Server(kind, log=tmp_path / "log", **environment) as server:
        async with client(server, query={"token": str(token), "agentId": "x"}) as socket:
            code, reason, messages = await socket.closed()
        assert "Traceback" not in server.log.read_text()
    assert (code, reason) == (1013, "Try again later")
    assert messages[0]["data"]["message"] == "positions are unavailable right now"


async def test_malformed_origin_is_refused(server, alice, agent):
    logged = len(server.log.read_text())
    with pytest.raises(InvalidStatus) as refused:
        async with client(server, token=access_token(alice), agent=agent, origin="http://[bad"):
            pass
    assert refused.value.response.status_code in {400, 403}  # daphne refuses it by itself
    assert "Traceback" not in server.log.read_text()[logged:]


async def test_token_under_an_encoded_name_reaches_no_log(server, alice, agent):
    token = access_token(alice)
    async with client(server, query={"agentId": str(agent.pk)}) as socket:
        await socket.closed()
    ws_url, server.ws_url = server.ws_url, f"{server.ws_url}?%74oken={token}&x="
    try:
        async with client(server, query={"agentId": str(agent.pk)}) as socket:
            await socket.receive()
    finally:
        server.ws_url = ws_url
    assert token.split(".")[1] not in server.log.read_text()
