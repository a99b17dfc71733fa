"""Resuming: `lastSeq`, `refresh`, reconciliation, and one socket per agent across two processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction

from positions import services, valkey
from positions.models import Agent, Position, PositionEvent
from positions.prices.cache import put_prices
from realtime.hub.ownership import owner_key
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import BONK, fresh_token, quote
from tests.live import PATIENCE_SECONDS, Server, StartServer, access_token, client, refresh_token, watching

in_thread = sync_to_async
# Agents that are fought over at once; `make soak` takes more.
RACES = int(os.environ.get("NEXGENT_TEST_RACES", "10"))
# Reconciler waits for this; nothing here depends on how long it is.
SOON = {"NEXGENT_RECONCILE_SECONDS": "0.2"}


def move(position: Position, *percentages: int) -> None:
    for percentage in percentages:
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(-percentage))


def move_silently(position: Position, *percentages: int) -> None:
    """As if the writer had died right after its commit: the rows are there, no message was sent."""
    with transaction.atomic():
        move(position, *percentages)
        connection.run_on_commit.clear()


def set_back() -> None:
    """As tables that were restored from a dump of after the first event, in which a field was another."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE positions_position SET dca_count = 7")
        cursor.execute("DELETE FROM positions_positionevent WHERE seq > 1")
        cursor.execute("UPDATE positions_agent SET event_seq = 1")


def resuming(server: Server, user: User, agent: Agent, last_seq: object, **others: str):
    query = {"token": access_token(user), "agentId": str(agent.pk), "lastSeq": str(last_seq), **others}
    return client(server, query=query)


@pytest.fixture(params=["daphne", "uvicorn"])
def reconciliation_server(request, transactional_db, shared_server: StartServer) -> Server:
    return shared_server(request.param, **SOON)


@pytest.fixture(params=["daphne", "uvicorn"])
def restored_server(request, transactional_db, tmp_path: Path) -> Iterator[Server]:
    """One of its own: shared ones would hear of the restore in a later test."""
    with Server(request.param, log=tmp_path / "log", **SOON) as server:
        yield server


# lastSeq in the query


async def test_resume_past_an_event_that_cannot_be_read_brings_a_new_snapshot(server, alice, agent, position):
    """A row of a dump, say. The others of the agent are not lost with it."""
    await in_thread(move)(position, 1, 2)

    def spoil() -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE positions_positionevent SET position = '5' WHERE seq = 2")

    await in_thread(spoil)()
    async with resuming(server, alice, agent, 1) as socket:
        snapshot = (await socket.until("initial_data"))["data"]
        assert snapshot["seq"] == 3
    async with resuming(server, alice, agent, 2) as socket:
        assert (await socket.until("position_update"))["data"]["seq"] == 3


async def test_resume_brings_exactly_the_missed_events_then_the_newest_prices(server, alice, agent, position):
    await broadcast_prices([quote(BONK, "0.25", "50")])
    await put_prices([quote(BONK, "0.5", "100")])
    await in_thread(move)(position, 1, 2, 3)
    async with resuming(server, alice, agent, 2) as socket:
        await socket.expect("connected")
        subscribed = (await socket.expect("subscribed"))["data"]
        assert subscribed == {"agentId": str(agent.pk), "seq": 4, "recovered": True}
        updates = [(await socket.expect("position_update"))["data"] for _ in range(2)]
        assert [update["seq"] for update in updates] == [3, 4]
        assert [update["position"]["currentStopLossPercentage"] for update in updates] == [-2, -3]
        prices = (await socket.expect("price_update_batch"))["data"]["updates"]
        # With its status: the server does not know what it last sent to the client.
        assert prices == [{"tokenAddress": BONK, "price": 0.5, "priceUsd": 100, "priceStatus": "live"}]
        await in_thread(move)(position, 4)
        assert (await socket.expect("position_update"))["data"]["seq"] == 5


async def test_resume_with_nothing_missed_goes_on(server, alice, agent, position):
    async with resuming(server, alice, agent, 1) as socket:
        await socket.expect("connected")
        assert (await socket.expect("subscribed"))["data"]["recovered"] is True
        await in_thread(move)(position, 1)
        update = await socket.until("position_update")
        assert update["data"]["seq"] == 2


async def test_resume_follows_positions_that_came_and_went(server, alice, agent, wallet, position):
    """The prices sent afterwards are of what is held now, not what was held in between."""
    token = fresh_token()

    def trade() -> None:
        services.close_position(position_id=position.pk, proceeds_sol=Decimal(1))
        again = services.open_position(
            wallet=wallet, token_address=token, token_symbol="BONK", tokens=Decimal(1), spent_sol=Decimal(1)
        )
        services.close_position(position_id=again.pk, proceeds_sol=Decimal(1))

    await in_thread(trade)()
    async with resuming(server, alice, agent, 1) as socket:
        await socket.expect("connected")
        await socket.expect("subscribed")
        kinds = [(await socket.expect("position_update"))["data"]["eventType"] for _ in range(3)]
        assert kinds == ["position_closed", "position_created", "position_closed"]
        await broadcast_prices([quote(BONK, "0.75"), quote(token, "0.75")])
        await socket.send(type="ping")
        await socket.expect("pong")


@pytest.mark.parametrize("last_seq", [99, "pruned"])
async def test_resume_from_where_events_are_not_kept_gets_a_snapshot(
    server, alice, agent, position, last_seq
):
    await in_thread(move)(position, 1, 2)
    if last_seq == "pruned":
        await PositionEvent.objects.filter(seq=2).adelete()
        last_seq = 1
    async with resuming(server, alice, agent, last_seq) as socket:
        await socket.expect("connected")
        subscribed = (await socket.expect("subscribed"))["data"]
        assert (subscribed["recovered"], subscribed["seq"]) == (False, 3)
        initial = (await socket.expect("initial_data"))["data"]
        assert (initial["seq"], len(initial["positions"])) == (3, 1)


@pytest.mark.parametrize("last_seq", ["", "-1", "1.5", "x", "\uff19", "9" * 40])
async def test_resume_with_a_senseless_number_says_so_and_starts_over(server, alice, agent, last_seq):
    async with resuming(server, alice, agent, last_seq) as socket:
        await socket.expect("connected")
        if last_seq:  # an empty one is none
            assert (await socket.expect("error"))["data"] == {
                "code": "invalid_message",
                "message": "lastSeq must be a whole number of 0 or more",
            }
        await socket.expect("initial_data")


async def test_resume_while_a_writer_commits_misses_and_doubles_nothing(server, alice, agent, position):
    stop = asyncio.Event()
    seen: list[int] = [1]

    async def write() -> None:
        for _ in range(490):  # never more than the server replays
            if stop.is_set():
                return
            await in_thread(move)(position, 1)

    writer = asyncio.create_task(write())
    try:
        for _ in range(10):
            async with resuming(server, alice, agent, seen[-1]) as socket:
                await socket.expect("connected")
                assert (await socket.expect("subscribed"))["data"]["recovered"] is True
                seen += [(await socket.until("position_update"))["data"]["seq"] for _ in range(5)]
    finally:
        stop.set()
        await writer
    assert seen == list(range(1, len(seen) + 1))


# subscribe


async def test_subscribe_with_last_seq_brings_the_missed_events_again(server, alice, agent, position):
    await in_thread(move)(position, 1, 2)
    async with watching(server, alice, agent) as socket:
        await socket.send(type="subscribe", data={"agentId": str(agent.pk), "lastSeq": 1})
        assert (await socket.expect("subscribed"))["data"]["recovered"] is True
        assert [(await socket.expect("position_update"))["data"]["seq"] for _ in range(2)] == [2, 3]


async def test_subscribe_with_a_last_seq_of_the_future_gets_a_snapshot(server, alice, agent, position):
    async with watching(server, alice, agent) as socket:
        await socket.send(type="subscribe", data={"agentId": str(agent.pk), "lastSeq": 7})
        assert (await socket.expect("subscribed"))["data"]["recovered"] is False
        assert (await socket.expect("initial_data"))["data"]["seq"] == 1


# refresh


async def test_refresh_prolongs_the_connection(server, alice, agent):
    # In time for a slow machine to come and to refresh before the first one expires.
    first = int(time.time()) + 9
    async with client(server, token=access_token(alice, exp=first), agent=agent) as socket:
        await socket.expect("connected")
        await socket.expect("initial_data")
        later = first + 2
        await socket.send(type="refresh", data={"token": access_token(alice, exp=later)})
        refreshed = (await socket.expect("refreshed"))["data"]
        assert refreshed["tokenExpiresAt"].endswith("Z")
        code, reason, _ = await socket.closed()
        assert (code, reason) == (1008, "Token expired")
        assert time.time() >= later  # not when the first token did


@pytest.mark.parametrize("which", ["nonsense", "refresh token", "expired", "someone else's"])
async def test_refresh_with_an_invalid_token_is_refused_and_the_socket_stays(
    server, alice, bob, agent, which
):
    token = {
        "nonsense": "nonsense",
        "refresh token": refresh_token(alice),
        "expired": access_token(alice, exp=int(time.time()) - 1),
        "someone else's": access_token(bob),
    }[which]
    async with watching(server, alice, agent) as socket:
        await socket.send(type="refresh", token=token)
        assert (await socket.expect("error"))["data"] == {
            "code": "token_refused",
            "message": "the token is malformed, expired, revoked, not an access token, or belongs to another user",
        }
        await socket.send(type="ping")
        await socket.expect("pong")


async def test_refresh_without_a_token_names_it(server, alice, agent):
    async with watching(server, alice, agent) as socket:
        await socket.connection.send('{"type": "refresh", "data": {}}')
        assert (await socket.expect("error"))["data"]["message"] == "token must be a string"


# Reconciler


async def test_reconciliation_brings_events_that_nobody_sent(reconciliation_server, alice, agent, position):
    async with watching(reconciliation_server, alice, agent) as socket:
        await in_thread(move_silently)(position, 1, 2, 3)
        assert [(await socket.expect("position_update"))["data"]["seq"] for _ in range(3)] == [2, 3, 4]


async def test_reconciliation_of_pruned_events_brings_a_snapshot(
    reconciliation_server, alice, agent, position
):
    def move_and_prune() -> None:
        with transaction.atomic():
            move(position, 1, 2)
            connection.run_on_commit.clear()
            PositionEvent.objects.filter(seq=2).delete()

    async with watching(reconciliation_server, alice, agent) as socket:
        await in_thread(move_and_prune)()
        initial = (await socket.expect("initial_data"))["data"]
        assert (initial["seq"], initial["positions"][0]["currentStopLossPercentage"]) == (3, -2)
        await in_thread(move)(position, 3)
        assert (await socket.expect("position_update"))["data"]["seq"] == 4


async def test_resync_after_a_change_by_sql_brings_a_snapshot_to_open_sockets_and_to_those_that_resume(
    reconciliation_server, alice, agent, position
):
    def change() -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE positions_position SET dca_count = 7")
        call_command("resync", str(agent.pk), stdout=StringIO())

    async with watching(reconciliation_server, alice, agent) as socket:
        await in_thread(change)()
        initial = (await socket.expect("initial_data"))["data"]
        assert (initial["seq"], initial["positions"][0]["dcaCount"]) == (2, 7)
        await in_thread(move)(position, 3)
        assert (await socket.expect("position_update"))["data"]["seq"] == 3
    async with resuming(reconciliation_server, alice, agent, 1) as socket:
        await socket.expect("connected")
        assert (await socket.expect("subscribed"))["data"]["recovered"] is False
        assert (await socket.expect("initial_data"))["data"]["seq"] == 3


async def test_agent_whose_number_was_set_back_by_sql_brings_a_snapshot(
    restored_server, alice, agent, position
):
    """As a table that was restored from a dump of before the socket's last event."""
    await in_thread(move)(position, 1, 2)
    async with watching(restored_server, alice, agent) as socket:
        await in_thread(set_back)()
        initial = (await socket.expect("initial_data"))["data"]
        assert (initial["seq"], initial["positions"][0]["dcaCount"]) == (1, 7)
        await in_thread(move)(position, 3)
        assert (await socket.expect("position_update"))["data"]["seq"] == 2


async def test_restore_that_was_told_of_brings_snapshots_to_open_sockets_and_to_those_of_the_epoch_before(
    restored_server, alice, agent, position
):
    await in_thread(move)(position, 1, 2)
    async with client(restored_server, token=access_token(alice), agent=agent) as socket:
        before = (await socket.expect("connected"))["data"]["epoch"]
        await socket.expect("initial_data")
        await in_thread(call_command)("restored", stdout=StringIO())
        assert (await socket.expect("initial_data"))["data"]["seq"] == 3
    async with resuming(restored_server, alice, agent, 2, epoch=before) as socket:
        after = (await socket.expect("connected"))["data"]["epoch"]
        assert after != before
        assert (await socket.expect("subscribed"))["data"]["recovered"] is False
        assert (await socket.expect("initial_data"))["data"]["seq"] == 3
        # In `subscribe`, too; and without an epoch, the number alone counts.
        for epoch, recovered in [({"epoch": before}, False), ({"epoch": after}, True), ({}, True)]:
            await socket.send(type="subscribe", data={"agentId": str(agent.pk), "lastSeq": 2, **epoch})
            assert (await socket.until("subscribed"))["data"]["recovered"] is recovered
    async with resuming(restored_server, alice, agent, 2, epoch=after) as socket:
        await socket.expect("connected")
        assert (await socket.expect("subscribed"))["data"]["recovered"] is True
        assert (await socket.expect("position_update"))["data"]["seq"] == 3


async def test_numbers_that_have_gone_back_begin_an_epoch_for_clients_that_were_away(
    restored_server, alice, agent, position
):
    """Commits were lost, and nobody has told: an open socket shows it, and one that comes back later hears of it."""
    await in_thread(move)(position, 1, 2)
    async with client(restored_server, token=access_token(alice), agent=agent) as socket:
        before = (await socket.expect("connected"))["data"]["epoch"]
        await socket.expect("initial_data")
        await in_thread(set_back)()
        assert (await socket.expect("initial_data"))["data"]["seq"] == 1
    await in_thread(move)(position, 3, 4, 5)
    async with resuming(restored_server, alice, agent, 3, epoch=before) as socket:
        await socket.expect("connected")
        assert (await socket.expect("subscribed"))["data"]["recovered"] is False


async def test_stream_that_starts_over_for_a_user_who_may_no_longer_watch_says_so(
    server, alice, agent, position
):
    def lose_an_event() -> None:
        move_silently(position, 1)
        PositionEvent.objects.filter(seq=2).delete()
        User.objects.filter(pk=alice.pk).update(is_active=False)
        move(position, 2)

    async with watching(server, alice, agent) as socket:
        await in_thread(lose_an_event)()
        assert (await socket.closed())[:2] == (1008, "Access revoked")


@pytest.mark.parametrize("change", ["deactivated", "handed over", "deleted"])
async def test_reconciliation_ends_the_socket_of_a_user_who_may_no_longer_watch(
    reconciliation_server, alice, bob, agent, change
):
    """By writes that send no signal."""
    async with watching(reconciliation_server, alice, agent) as socket:
        if change == "deactivated":
            await User.objects.filter(pk=alice.pk).aupdate(is_active=False)
        elif change == "handed over":
            await Agent.objects.filter(pk=agent.pk).aupdate(owner=bob)
        else:
            await in_thread(_raw_delete)(agent)
        code, reason, messages = await socket.closed()
    assert (code, reason) == (1008, "Access revoked")
    assert messages[-1]["data"]["reconnect"] is False


def _raw_delete(agent: Agent) -> None:
    with connection.cursor() as cursor:
        key = Agent._meta.pk.get_db_prep_value(agent.pk, connection)  # SQLite keeps it as text
        cursor.execute("DELETE FROM positions_agent WHERE id = %s", [key])


async def test_reconciliation_brings_prices_that_nobody_sent(reconciliation_server, alice, agent, position):
    async with watching(reconciliation_server, alice, agent) as socket:
        await put_prices([quote(BONK, "0.125", "25")])
        prices = (await socket.expect("price_update_batch"))["data"]["updates"]
        # The first price of a token: its status was `none`.
        assert prices == [{"tokenAddress": BONK, "price": 0.125, "priceUsd": 25, "priceStatus": "live"}]


# One socket per agent


@pytest.fixture
def pair(transactional_db, shared_server: StartServer) -> tuple[Server, Server]:
    """A daphne and a uvicorn process that reconcile soon."""
    return shared_server("daphne", **SOON), shared_server("uvicorn", **SOON)


async def test_exactly_one_socket_survives_a_race_over_two_processes(pair, alice):
    agents = [await Agent.objects.acreate(owner=alice, name=f"agent {n}") for n in range(RACES)]
    token = access_token(alice)

    async def race(agent: Agent) -> list[tuple[int, str]]:
        """Return how the others ended, once only one is left, and works."""
        async with AsyncExitStack() as stack:
            opening = (client(pair[turn % 2], token=token, agent=agent) for turn in range(20))
            sockets = await asyncio.gather(*map(stack.enter_async_context, opening))
            left = {asyncio.create_task(socket.closed()): socket for socket in sockets}
            ends = []
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(left) > 1:
                    done, _ = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                    ends += [task.result()[:2] for task in done]
                    left = {task: socket for task, socket in left.items() if task not in done}
            (listening, survivor) = left.popitem()
            listening.cancel()
            await asyncio.wait([listening])
            await survivor.send(type="ping")
            await survivor.until("pong")
            return ends

    for ends in await asyncio.gather(*map(race, agents)):
        assert ends == [(1000, "New connection established")] * 19


async def test_two_sockets_of_one_agent_that_do_not_know_of_each_other_end_up_as_one(
    pair, alice, agent, position
):
    """The second one's claim is written past the channel layer, as if its message had been lost."""
    async with watching(pair[0], alice, agent) as first:
        held = int(await valkey.async_client().get(owner_key(str(agent.pk))) or 0)
        await valkey.async_client().set(owner_key(str(agent.pk)), held + 1)
        assert (await first.closed())[:2] == (1000, "New connection established")


async def test_socket_survives_a_server_that_comes_back_empty(pair, alice, agent, position):
    """Claims are written down again, and a newer socket still wins."""
    async with watching(pair[0], alice, agent) as first:
        await valkey.async_client().flushdb()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await valkey.async_client().get(owner_key(str(agent.pk))) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await in_thread(move)(position, 1)
        await first.expect("position_update")
        async with watching(pair[1], alice, agent) as second:
            assert (await first.closed())[:2] == (1000, "New connection established")
            await in_thread(move)(position, 2)
            await second.expect("position_update")


async def test_agent_of_a_killed_process_is_free_at_once(pair, tmp_path, alice, agent, position):
    with Server("daphne", log=tmp_path / "log", **SOON) as doomed:
        async with watching(doomed, alice, agent):
            doomed.stop(signal.SIGKILL)
        async with watching(pair[0], alice, agent) as socket:
            await in_thread(move)(position, 1)
            await socket.expect("position_update")
