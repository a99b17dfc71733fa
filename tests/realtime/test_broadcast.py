"""What a write and a round of prices cost the channel layer, and what happens if it is unavailable."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
import redis.asyncio
from asgiref.sync import async_to_sync
from django.db import connection, connections

from positions import services, valkey
from positions.conf import conf
from positions.models import Position, PositionEvent
from positions.prices.quotes import Market, Quote
from realtime.protocol.messages import PRICES_GROUP, agent_group
from realtime.protocol.price_envelopes import price_message
from realtime.publish import broadcast
from realtime.publish.rounds import QUOTES_AT_ONCE, make_round
from testbed import forkserver
from tests.conftest import BONK, WIF, quote
from tests.live import PATIENCE_SECONDS, ROOT, database_url, free_port, watching


@pytest.fixture
def published() -> Iterator[Callable[[str], int]]:
    """Return what tells how many messages the group was sent since the last time.

    Of groups that nobody else here sends to: what another test has left behind may still be on its way to others.
    """
    marker = secrets.token_hex(8)
    with valkey.client().pubsub() as listener:
        listener.psubscribe(f"{conf.REDIS_PREFIX}__group__*", marker)
        for _ in range(2):
            subscribed = listener.get_message(timeout=PATIENCE_SECONDS)
            assert subscribed is not None
            assert subscribed["type"] == "psubscribe"

        def count(group: str) -> int:
            assert broadcast.flush(PATIENCE_SECONDS)
            valkey.client().publish(marker, "")
            found = 0
            while message := listener.get_message(timeout=PATIENCE_SECONDS):
                if message["channel"] == marker.encode():
                    return found
                found += message["channel"].endswith(f"__group__{group}".encode())
            raise AssertionError("the marker did not arrive")

        yield count


@pytest.mark.django_db(transaction=True)
def test_many_writes_of_a_process_share_one_set_of_connections(position, monkeypatch):
    services.move_stop_loss(position_id=position.pk, percentage=Decimal(-1))
    assert broadcast.flush(PATIENCE_SECONDS)
    made: list[object] = []
    for connection_class in (redis.UnixDomainSocketConnection, redis.asyncio.UnixDomainSocketConnection):
        connect = connection_class._connect

        def noted(connection: Any, connect: Callable[..., Any] = connect) -> Any:
            made.append(connection)
            return connect(connection)

        monkeypatch.setattr(connection_class, "_connect", noted)
    for percentage in range(2, 60):
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(-percentage))
    assert broadcast.flush(PATIENCE_SECONDS)
    assert made == []


@pytest.mark.django_db(transaction=True)
def test_events_are_published_once_each(position, published):
    group = agent_group(position.agent_id)
    published(group)
    for percentage in range(1, 11):
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(-percentage))
    assert published(group) == 10


@pytest.mark.django_db(transaction=True)
def test_events_of_another_database_are_not_published(position, published):
    """An archive, say, has the same agents with numbers of its own. (Here it is the same database by another name.)"""
    group = agent_group(position.agent_id)
    published(group)
    connections["archive"] = connection.copy(alias="archive")
    try:
        assert Position.objects.using("archive").update(dca_count=1) == 1
        assert PositionEvent.objects.using("archive").count() == 2
    finally:
        connections["archive"].close()
        del connections["archive"]
    assert published(group) == 0


async def test_round_of_prices_is_one_message_however_many_watch(
    daphne_server, uvicorn_server, transactional_db, alice, agent, position, published
):
    async with watching(daphne_server, alice, agent) as socket:
        published(PRICES_GROUP)
        await broadcast.broadcast_prices(
            [quote(BONK, "0.5"), *(quote(f"{WIF[:-1]}{n}", "1") for n in range(1, 9))]
        )
        await socket.expect("price_update_batch")
        assert published(PRICES_GROUP) == 1


def test_round_without_changes_sends_nothing(published):
    published(PRICES_GROUP)
    async_to_sync(broadcast.broadcast_prices)([])
    assert published(PRICES_GROUP) == 0


def write_and_exit(position: Position, redis_url: str) -> subprocess.CompletedProcess[str]:
    """Move the stop loss in a process that ends at once."""
    write = (
        "from positions import services; from decimal import Decimal;"
        f"services.move_stop_loss(position_id='{position.pk}', percentage=Decimal(-7)); print('written')"
    )
    environment = {**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": redis_url}
    return forkserver.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", write],
        env=environment,
        cwd=ROOT,
        timeout=3 * PATIENCE_SECONDS,
    )


@pytest.mark.django_db(transaction=True)
def test_process_that_ends_after_its_write_has_published_it_to_a_server_with_a_name(position, published):
    """Names are looked up by the executor of asyncio, which no longer works when `atexit` handlers run."""
    port, group = free_port(), agent_group(position.agent_id)
    published(group)
    valkey.client().config_set("port", port)
    try:
        done = write_and_exit(position, f"redis://localhost:{port}")
    finally:
        valkey.client().config_set("port", 0)
    assert (done.returncode, done.stdout, done.stderr) == (0, "written\n", "")
    assert published(group) == 1


@pytest.mark.django_db(transaction=True)
def test_write_without_a_channel_layer_succeeds_and_keeps_its_event(position, tmp_path):
    done = write_and_exit(position, f"unix://{tmp_path}/nobody.sock")
    assert (done.returncode, done.stdout) == (0, "written\n"), done.stderr
    assert f"events of agent {position.agent_id} not sent, left to reconciliation" in done.stderr
    assert "Traceback" not in done.stderr
    kept = PositionEvent.objects.get(seq=2).position
    assert kept is not None
    assert kept["current_stop_loss_percentage"] == "-7"


async def test_message_that_is_made_in_slices_is_the_same():
    market = Market("thin", liquidity_usd=Decimal(5))
    now = datetime.now(UTC)
    quotes = [
        Quote(f"Token{number}", Decimal(number), None, now, None if number % 3 else market)
        for number in range(2 * QUOTES_AT_ONCE + 1)
    ]
    quotes[7] = replace(quotes[7], as_of=now - timedelta(seconds=9))
    assert await make_round(quotes) == [(PRICES_GROUP, price_message(quotes))]
    assert await make_round([]) == [(PRICES_GROUP, price_message([]))]
