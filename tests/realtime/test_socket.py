"""Every message and every close code, over a real daphne and a real uvicorn."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from positions import services
from positions.models import Agent, PositionEvent, Wallet
from positions.prices.cache import put_prices
from realtime.hub.database import in_database_thread
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import BONK, JUP, WIF, fresh_token, quote
from tests.live import NO_TLS, Server, StartServer, access_token, client, http, refresh_token, watching

in_thread = sync_to_async


# Coming


async def test_connect_with_token_and_agent_gets_connected_then_initial_data(server, alice, agent, position):
    token = access_token(alice)
    async with client(server, token=token, agent=agent) as socket:
        connected = (await socket.expect("connected"))["data"]
        assert connected["agentId"] == str(agent.pk)
        assert connected["pingInterval"] == 30_000
        assert datetime.fromisoformat(connected["tokenExpiresAt"]).utcoffset() == timedelta(0)
        assert connected["timestamp"].endswith("Z")
        initial = (await socket.expect("initial_data"))["data"]
        assert initial["seq"] == 1
        assert [held["id"] for held in initial["positions"]] == [str(position.pk)]


async def test_initial_data_of_a_token_without_a_price_uses_the_purchase_price(server, alice, agent, wallet):
    await in_thread(services.open_position)(
        wallet=wallet,
        token_address=fresh_token(),
        token_symbol="NEW",
        tokens=Decimal(1000),
        spent_sol=Decimal(2),
    )
    async with watching(server, alice, agent) as socket:
        held = socket.initial["positions"][0]
    assert (held["priceSource"], held["priceTimestamp"]) == ("purchase", None)
    assert (held["currentPrice"], held["currentPriceUsd"]) == (0.002, 0)


async def test_connect_with_bearer_header_is_accepted(server, alice, agent):
    headers = {"Authorization": f"Bearer {access_token(alice)}"}
    async with client(server, query={"agentId": str(agent.pk)}, additional_headers=headers) as socket:
        await socket.expect("connected")


async def test_initial_data_writes_numbers_digit_for_digit(server, alice, agent, wallet):
    await in_thread(services.open_position)(
        wallet=wallet,
        token_address=BONK,
        token_symbol="BONK",
        tokens=Decimal("1234567.123456789"),
        spent_sol=Decimal("0.000000012"),
    )
    await put_prices([quote(BONK, "0.0000001309", "0.00002819")])
    async with client(server, token=access_token(alice), agent=agent) as socket:
        await socket.expect("connected")
        await socket.expect("initial_data")
        assert '"purchaseAmount":1234567.123456789,' in socket.raw
        assert '"totalInvestedSol":0.000000012,' in socket.raw
        assert '"currentPrice":0.0000001309,' in socket.raw
        assert '"currentPriceUsd":0.00002819,' in socket.raw
        assert '"priceSource":"live"' in socket.raw


async def test_initial_data_leaves_closed_positions_out(server, alice, agent, position):
    await in_thread(services.close_position)(position_id=position.pk, proceeds_sol=Decimal(3))
    async with watching(server, alice, agent) as socket:
        assert socket.initial["positions"] == []
        assert socket.initial["seq"] == 2


@pytest.mark.parametrize(
    "token",
    ["", "nonsense", "a.b.c", "refresh", "expired", "inactive", "nobody", "several users"],
)
async def test_connect_with_an_invalid_or_expired_token_closes_with_authentication_failed(
    server, alice, agent, token
):
    tokens = {
        "refresh": refresh_token(alice),
        "expired": access_token(alice, exp=int(time.time()) - 1),
        "inactive": access_token(alice),
        "nobody": access_token(alice, user_id="999999"),
        "several users": access_token(alice, user_id=[alice.pk]),
    }
    if token == "inactive":
        alice.is_active = False
        await alice.asave()
    async with client(server, token=tokens.get(token, token), agent=agent) as socket:
        code, reason, messages = await socket.closed()
    assert (code, reason) == (1008, "Authentication failed")
    assert [message["type"] for message in messages] == ["error", "closing"]
    assert messages[0]["data"]["code"] == "authentication_failed"
    assert messages[1]["data"] == {
        "code": 1008,
        "reason": "Authentication failed",
        "reconnect": False,
        "retryAfter": 0,
    }


@pytest.mark.parametrize("which", ["missing", "malformed", "unknown", "someone else's"])
async def test_connect_to_an_agent_of_another_user_is_answered_like_an_unknown_one(
    server, alice, bob, agent, which
):
    names = {"malformed": "1234", "unknown": str(uuid.uuid4()), "someone else's": str(agent.pk)}
    query = {"token": access_token(bob)}
    if which != "missing":
        query["agentId"] = names[which]
    async with client(server, query=query) as socket:
        code, reason, messages = await socket.closed()
    assert (code, reason) == (1008, "Agent not found")
    assert messages[0] == {
        "type": "error",
        "data": {"code": "agent_not_found", "message": "agent not found"},
    }
    assert messages[1]["data"]["reconnect"] is False


async def test_connect_to_another_path_is_refused(server, alice):
    with pytest.raises(InvalidStatus) as refused:
        await connect(server.ws_url + "/other")
    assert refused.value.response.status_code == 403


async def test_connect_from_another_sites_page_is_refused(server, alice, agent):
    with pytest.raises(InvalidStatus) as refused:
        async with client(server, token=access_token(alice), agent=agent, origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403


async def test_connect_from_this_sites_page_is_accepted(server, alice, agent):
    async with client(server, token=access_token(alice), agent=agent, origin=server.url) as socket:
        await socket.expect("connected")


# Events


async def test_position_changes_arrive_in_order_with_their_positions(server, alice, agent, wallet):
    async with watching(server, alice, agent) as socket:
        assert socket.initial == {"positions": [], "timestamp": socket.initial["timestamp"], "seq": 0}
        opened = await in_thread(services.open_position)(
            wallet=wallet,
            token_address=fresh_token(),  # without a price, which would follow
            token_symbol="BONK",
            tokens=Decimal(100),
            spent_sol=Decimal(1),
        )
        created = (await socket.expect("position_update"))["data"]
        await in_thread(services.buy_more)(position_id=opened.pk, tokens=Decimal(100), spent_sol=Decimal(3))
        updated = (await socket.expect("position_update"))["data"]
        await in_thread(services.close_position)(position_id=opened.pk, proceeds_sol=Decimal(5))
        closed = (await socket.expect("position_update"))["data"]
    assert (created["eventType"], created["seq"]) == ("position_created", 1)
    assert created["position"]["purchasePrice"] == 0.01
    assert (updated["eventType"], updated["seq"]) == ("position_updated", 2)
    assert updated["position"]["purchasePrice"] == 0.02
    assert updated["position"]["dcaCount"] == 1
    assert closed == {
        "eventType": "position_closed",
        "positionId": str(opened.pk),
        "seq": 3,
        "timestamp": closed["timestamp"],
    }


async def test_event_carries_the_position_exactly_as_a_fresh_snapshot_would(server, alice, agent, position):
    await put_prices([quote(BONK, "0.000003", "0.0006")])
    async with watching(server, alice, agent) as socket:
        await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal("-12.5"))
        event = (await socket.expect("position_update"))["data"]["position"]
    async with watching(server, alice, agent) as socket:
        assert socket.initial["positions"] == [event]


async def test_rolled_back_change_is_never_seen(server, alice, agent, position):
    from django.db import transaction

    def change_and_roll_back():
        with transaction.atomic():
            services.buy_more(position_id=position.pk, tokens=Decimal(1), spent_sol=Decimal(1))
            transaction.set_rollback(True)

    async with watching(server, alice, agent) as socket:
        await in_thread(change_and_roll_back)()
        await in_thread(services.buy_more)(position_id=position.pk, tokens=Decimal(2), spent_sol=Decimal(1))
        update = (await socket.expect("position_update"))["data"]
    assert update["seq"] == 2
    assert update["position"]["remainingAmount"] == 1_000_002


async def test_events_that_the_channel_layer_lost_are_read_when_the_next_one_comes(
    server, alice, agent, position
):
    """The rows of events 2 and 3 exist, their messages were never sent."""
    async with watching(server, alice, agent) as socket:
        await in_thread(_write_unheard)(position)
        await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
        seqs = [(await socket.expect("position_update"))["data"]["seq"] for _ in range(3)]
    assert seqs == [2, 3, 4]


def _write_unheard(position):
    from django.db import connection, transaction

    with transaction.atomic():
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(-20))
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(-10))
        connection.run_on_commit.clear()  # as if the process had died right after its commit


async def test_events_sent_in_the_wrong_order_arrive_in_the_right_one(server, alice, agent, position):
    from channels.layers import get_channel_layer

    from realtime.protocol.envelopes import event_message
    from realtime.protocol.messages import agent_group

    async with watching(server, alice, agent) as socket:
        await in_thread(_write_unheard)(position)
        events = [
            event async for event in PositionEvent.objects.filter(agent=agent, seq__gt=1).order_by("-seq")
        ]
        for event in [*events, *events]:  # 3, 2, 3, 2
            await get_channel_layer().group_send(agent_group(agent.pk), event_message(event))
        await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
        seqs = [(await socket.expect("position_update"))["data"]["seq"] for _ in range(3)]
    assert seqs == [2, 3, 4]


async def test_connect_while_a_writer_commits_misses_and_doubles_nothing(server, alice, agent, position):
    """State of the snapshot plus the events that follow: every number once, none missing."""
    stop = asyncio.Event()

    def write_some(percentage):
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(percentage))

    async def write():
        percentage = 0
        while not stop.is_set():
            percentage = (percentage + 1) % 90
            await in_database_thread(write_some)(-percentage)

    writer = asyncio.create_task(write())
    try:
        for _ in range(8):
            async with watching(server, alice, agent) as socket:
                seq = socket.initial["seq"]
                for following in range(seq + 1, seq + 6):
                    update = (await socket.expect("position_update"))["data"]
                    assert update["seq"] == following
    finally:
        stop.set()
        await writer


async def test_deleted_agent_closes_its_positions_then_its_socket(server, alice, agent, position):
    async with watching(server, alice, agent) as socket:
        await agent.adelete()
        update = (await socket.expect("position_update"))["data"]
        assert (update["eventType"], update["positionId"]) == ("position_closed", str(position.pk))
        code, reason, messages = await socket.closed()
    assert (code, reason) == (1008, "Access revoked")
    assert messages[-1]["data"]["reconnect"] is False


@pytest.mark.parametrize("change", ["deactivated user", "handed-over agent"])
async def test_socket_of_a_user_who_lost_access_is_closed(server, alice, bob, agent, change):
    async with watching(server, alice, agent) as socket:
        if change == "deactivated user":
            alice.is_active = False
            await alice.asave()
        else:
            agent.owner = bob
            await agent.asave()
        assert (await socket.closed())[:2] == (1008, "Access revoked")


async def test_renamed_agent_keeps_its_socket(server, alice, agent):
    async with watching(server, alice, agent) as socket:
        agent.name = "omega"
        await agent.asave()
        await socket.send(type="ping")
        await socket.expect("pong")


# Prices


async def test_price_batch_brings_only_tokens_that_the_agent_holds(server, alice, agent, position):
    await put_prices([quote(BONK, "0.00000013")])  # the stream begins with one, and its status
    async with watching(server, alice, agent) as socket:
        await broadcast_prices([quote(WIF, "1"), quote(BONK, "0.0000001309", "0.00002819"), quote(JUP, "2")])
        batch = await socket.expect("price_update_batch")
    assert f'"updates":[{{"tokenAddress":"{BONK}","price":0.0000001309,"priceUsd":0.00002819}}]' in socket.raw
    assert batch["data"]["timestamp"].endswith("Z")


async def test_price_without_usd_is_sent_as_null(server, alice, agent, position):
    async with watching(server, alice, agent) as socket:
        await broadcast_prices([quote(BONK, "0.5")])
        batch = await socket.expect("price_update_batch")
    assert batch["data"]["updates"] == [{"tokenAddress": BONK, "price": 0.5, "priceUsd": None}]


async def test_prices_of_a_token_bought_and_sold_while_connected_start_and_stop(
    server, alice, agent, wallet, position
):
    live = await in_thread(Wallet.objects.create)(agent=agent, address="L1ve", kind="live")
    token = fresh_token()
    async with watching(server, alice, agent) as socket:
        bought = [
            await in_thread(services.open_position)(
                wallet=each, token_address=token, token_symbol="WIF", tokens=Decimal(5), spent_sol=Decimal(1)
            )
            for each in (wallet, live)
        ]
        for _ in bought:
            await socket.expect("position_update")
        await broadcast_prices([quote(token, "0.1")])
        await socket.expect("price_update_batch")
        await in_thread(services.close_position)(position_id=bought[0].pk, proceeds_sol=Decimal(1))
        await socket.expect("position_update")
        await broadcast_prices([quote(token, "0.2")])
        await socket.expect("price_update_batch")  # the other wallet holds it still
        await in_thread(services.close_position)(position_id=bought[1].pk, proceeds_sol=Decimal(1))
        await socket.expect("position_update")
        await broadcast_prices([quote(token, "0.3")])
        await broadcast_prices([quote(BONK, "0.4")])
        batch = await socket.expect("price_update_batch")
    assert [update["tokenAddress"] for update in batch["data"]["updates"]] == [BONK]


async def test_price_batch_with_invalid_entries_delivers_the_others(server, alice, agent, position):
    from channels.layers import get_channel_layer

    updates = [
        {"token_address": BONK, "price": "NaN"},
        {"token_address": BONK, "price": -1},
        {"token_address": BONK, "price": 0},
        {"token_address": BONK},
        {"price": 1},
        "nonsense",
        {"token_address": BONK, "price": 0.25},
    ]
    async with watching(server, alice, agent) as socket:
        await get_channel_layer().group_send("prices", {"type": "price.batch", "updates": updates})
        batch = await socket.expect("price_update_batch")
    assert batch["data"]["updates"] == [{"tokenAddress": BONK, "price": 0.25, "priceUsd": None}]


async def test_unknown_layer_messages_are_ignored(server, alice, agent, position):
    from channels.layers import get_channel_layer

    layer = get_channel_layer()
    async with watching(server, alice, agent) as socket:
        for message in ({"type": "no.such"}, {"type": "position.event"}, {"type": "price.batch"}, {"seq": 1}):
            await layer.group_send(f"agent.{agent.pk}", message)
        await broadcast_prices([quote(BONK, "0.5")])
        await socket.expect("price_update_batch")


# What clients say


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("{", "invalid_json", "not valid JSON: Input data was truncated"),
        ("", "invalid_json", "not valid JSON: Input data was truncated"),
        ("[" * 12_000, "invalid_json", "not valid JSON: nested too deep"),
        ("[]", "invalid_message", "a message must be a JSON object"),
        ("{}", "invalid_message", "type must be a string"),
        ('{"type": 5}', "invalid_message", "type must be a string"),
        ('{"type": "dance"}', "unknown_type", "unknown message type 'dance'"),
        ('{"type": "subscribe"}', "invalid_message", "agentId must be a string"),
        ('{"type": "subscribe", "data": []}', "invalid_message", "data must be an object"),
        ('{"type": "subscribe", "data": {"agentId": 7}}', "invalid_message", "agentId must be a string"),
        (
            '{"type": "subscribe", "agentId": "x", "lastSeq": "1"}',
            "invalid_message",
            "lastSeq must be a whole number of 0 or more",
        ),
        ('{"type": "subscribe", "agentId": "x"}', "agent_not_found", "agent not found"),
        (b"\x00\x01", "binary_frame", "messages must be text frames"),
    ],
)
async def test_malformed_message_gets_an_error_and_the_socket_stays_open(
    server, alice, agent, text, code, message
):
    async with watching(server, alice, agent) as socket:
        await socket.connection.send(text)
        assert await socket.expect("error") == {"type": "error", "data": {"code": code, "message": message}}
        await socket.send(type="ping")
        await socket.expect("pong")


async def test_ping_is_answered_with_pong_and_a_timestamp(server, alice, agent):
    async with watching(server, alice, agent) as socket:
        await socket.send(type="ping", timestamp="2026-01-01T00:00:00.000Z")
        assert (await socket.expect("pong"))["timestamp"].endswith("Z")


async def test_subscribe_to_the_same_agent_is_acknowledged(server, alice, agent, position):
    async with watching(server, alice, agent) as socket:
        await socket.send(type="subscribe", data={"agentId": str(agent.pk)})
        first = await socket.expect("subscribed")
        await socket.send(type="subscribe", agentId=str(agent.pk))
        second = await socket.expect("subscribed")
    assert first["data"] == second["data"] == {"agentId": str(agent.pk), "seq": 1, "recovered": True}


async def test_subscribe_to_another_own_agent_moves_the_socket(server, alice, agent, position):
    other = await Agent.objects.acreate(owner=alice, name="beta")
    wallet = await Wallet.objects.acreate(agent=other, address="Beta1")
    async with watching(server, alice, agent) as socket:
        await socket.send(type="subscribe", data={"agentId": str(other.pk)})
        assert (await socket.expect("subscribed"))["data"]["agentId"] == str(other.pk)
        assert (await socket.expect("initial_data"))["data"]["positions"] == []
        await in_thread(services.move_stop_loss)(
            position_id=position.pk, percentage=Decimal(-5)
        )  # not ours now
        await broadcast_prices([quote(BONK, "0.5")])
        token = fresh_token()
        await in_thread(services.open_position)(
            wallet=wallet, token_address=token, token_symbol="WIF", tokens=Decimal(1), spent_sol=Decimal(1)
        )
        update = (await socket.expect("position_update"))["data"]
        assert update["position"]["tokenAddress"] == token
        async with watching(server, alice, agent):  # the agent it left is free
            await socket.send(type="ping")
            await socket.expect("pong")


async def test_subscribe_to_a_strangers_agent_is_refused_and_the_socket_stays(
    server, alice, bob, agent, position
):
    other = await Agent.objects.acreate(owner=bob, name="bob's")
    async with watching(server, alice, agent) as socket:
        await socket.send(type="subscribe", data={"agentId": str(other.pk)})
        assert (await socket.expect("error"))["data"]["code"] == "agent_not_found"
        await broadcast_prices([quote(BONK, "0.5")])
        await socket.expect("price_update_batch")


async def test_message_over_the_size_limit_closes_with_1009(server, alice, agent):
    async with watching(server, alice, agent) as socket:
        await socket.connection.send('{"type": "ping", "filler": "%s"}' % ("x" * 20_000))
        code, reason, messages = await socket.closed()
    assert (code, reason) == (1009, "Message too big")
    assert messages[0]["data"] == {
        "code": "message_too_big",
        "message": "a message may have at most 16384 bytes",
    }
    assert messages[1]["data"]["reconnect"] is True


async def test_flood_of_messages_closes_with_rate_limit_exceeded(server, alice, agent):
    async with watching(server, alice, agent) as socket:
        for _ in range(200):
            await socket.send(type="pong")
        code, reason, messages = await socket.closed()
    assert (code, reason) == (1008, "Rate limit exceeded")
    assert [message["type"] for message in messages] == ["error", "closing"]
    assert messages[1]["data"]["retryAfter"] > 0


# One socket per agent


async def test_second_socket_of_an_agent_ends_the_first(server, alice, agent, position):
    async with watching(server, alice, agent) as first, watching(server, alice, agent) as second:
        code, reason, messages = await first.closed()
        assert (code, reason) == (1000, "New connection established")
        assert messages[-1]["data"]["reconnect"] is False
        # The first one's end takes nothing from the second.
        await broadcast_prices([quote(BONK, "0.5")])
        await second.expect("price_update_batch")
        await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
        await second.expect("position_update")


async def test_second_socket_in_another_process_ends_the_first(
    daphne_server, uvicorn_server, transactional_db, alice, agent, position
):
    async with (
        watching(daphne_server, alice, agent) as first,
        watching(uvicorn_server, alice, agent) as second,
    ):
        code, reason, _ = await first.closed()
        assert (code, reason) == (1000, "New connection established")
        await broadcast_prices([quote(BONK, "0.5")])
        await second.expect("price_update_batch")
        async with watching(daphne_server, alice, agent) as third:
            assert (await second.closed())[:2] == (1000, "New connection established")
            await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
            await third.expect("position_update")


async def test_sockets_of_different_agents_live_side_by_side(server, alice, bob, agent, position):
    other = await Agent.objects.acreate(owner=bob, name="bob's")
    async with watching(server, alice, agent) as hers, watching(server, bob, other) as his:
        await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
        await hers.expect("position_update")
        await his.send(type="ping")
        await his.expect("pong")


# Signs of life, and the end


@pytest.fixture(params=["daphne", "uvicorn"])
def impatient_server(request, transactional_db, shared_server: StartServer) -> Server:
    return shared_server(
        request.param,
        NEXGENT_PING_INTERVAL_SECONDS="0.5",
        NEXGENT_DEAD_AFTER_SECONDS="6",  # long enough for a client that answers on a busy machine
    )


async def test_silent_client_is_pinged_then_closed_with_connection_timeout(impatient_server, alice, agent):
    # On a busy machine the first ping may come before the snapshot.
    async with client(impatient_server, token=access_token(alice), agent=agent) as socket:
        code, reason, messages = await socket.closed()
    assert (code, reason) == (1000, "Connection timeout")
    kinds = [message["type"] for message in messages]
    assert [kind for kind in kinds if kind not in {"connected", "initial_data"}][:2] == ["ping", "ping"]
    assert messages[-1]["data"]["reconnect"] is True


async def test_client_that_answers_pings_stays(impatient_server, alice, agent):
    async with client(impatient_server, token=access_token(alice), agent=agent) as socket:
        for _ in range(13):  # longer than a silent one is kept
            await socket.until("ping")
            await socket.send(type="pong", timestamp="2026-01-01T00:00:00.000Z")


async def test_socket_ends_when_its_token_expires(server, alice, agent):
    token = access_token(alice, exp=int(time.time()) + 6)  # in time for a slow machine to connect
    async with client(server, token=token, agent=agent) as socket:
        await socket.expect("connected")
        code, reason, messages = await socket.closed()
    assert (code, reason) == (1008, "Token expired")
    assert messages[-1]["data"]["reconnect"] is True


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_server_that_shuts_down_closes_every_socket(
    kind, number, transactional_db, tmp_path, alice, agent, position
):
    others = [await Agent.objects.acreate(owner=alice, name=f"agent {n}") for n in range(5)]
    with Server(kind, log=tmp_path / "log") as server:
        async with AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(watching(server, alice, each)) for each in [agent, *others]
            ]
            ended = asyncio.get_running_loop().run_in_executor(None, server.stop, number)
            for socket in sockets:
                code, reason, messages = await socket.closed()
                assert (code, reason) == (1000, "Server shutdown")
                retry_after = messages[-1]["data"].pop("retryAfter")
                assert retry_after > 0
                assert messages[-1]["data"] == {"code": 1000, "reason": "Server shutdown", "reconnect": True}
            exit_code = await ended
        # uvicorn raises the signal again when it has ended.
        assert exit_code in ({0} if kind == "daphne" else {0, -number}), server.log.read_text()
        assert "Traceback" not in server.log.read_text()


async def test_runserver_puts_close_codes_and_reasons_on_the_wire(transactional_db, tmp_path, alice, agent):
    with Server("runserver", log=tmp_path / "log") as server:
        async with client(server, token="nonsense", agent=agent) as socket:
            assert (await socket.closed())[:2] == (1008, "Authentication failed")
        async with watching(server, alice, agent) as first, watching(server, alice, agent) as second:
            assert (await first.closed())[:2] == (1000, "New connection established")
            ended = asyncio.get_running_loop().run_in_executor(None, server.stop)
            assert (await second.closed())[:2] == (1000, "Server shutdown")
            assert await ended == 0, server.log.read_text()


async def test_server_at_capacity_refuses_connects_with_1013(transactional_db, tmp_path, alice, agent):
    other = await Agent.objects.acreate(owner=alice, name="beta")
    with Server("daphne", log=tmp_path / "log", NEXGENT_MAX_SOCKETS="1") as server:
        async with (
            watching(server, alice, agent),
            client(server, token=access_token(alice), agent=other) as socket,
        ):
            code, reason, messages = await socket.closed()
    assert (code, reason) == (1013, "Try again later")
    assert messages[-1]["data"]["retryAfter"] > 0


# Health, logs


async def test_health_counts_the_connections_of_all_processes(
    daphne_server, uvicorn_server, transactional_db, alice, agent
):
    other = await Agent.objects.acreate(owner=alice, name="beta")
    async with watching(daphne_server, alice, agent), watching(uvicorn_server, alice, other):
        for server in (daphne_server, uvicorn_server):
            assert await _health_until(server, {"status": "healthy", "connectionCount": 2})
    assert await _health_until(daphne_server, {"status": "healthy", "connectionCount": 0})


async def _health_until(server, expected):
    import httpx

    from tests.live import PATIENCE_SECONDS

    async with (
        httpx.AsyncClient(verify=NO_TLS, timeout=PATIENCE_SECONDS) as asking,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        while True:
            answer = await asking.get(f"{server.url}/health")
            if answer.status_code == 200 and answer.json() == expected:
                return True
            await asyncio.sleep(0.05)


async def test_no_token_reaches_a_log(server, alice, agent):
    token = access_token(alice)
    async with client(server, token=token, agent=agent) as socket:
        await socket.expect("connected")
        await socket.connection.send("{")
        await socket.until("error")
    await sync_to_async(http.get)(f"{server.url}/ws?token={token}")
    log = server.log.read_text()
    assert token not in log
    assert token.split(".")[1] not in log
    if server.kind == "uvicorn":
        assert "GET /ws?token=…" in log  # the line is there, redacted
