"""Connections that live and do not work: what is sent through them vanishes, and nothing closes them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import redis
from asgiref.sync import sync_to_async

from positions import services
from positions.models import Agent
from realtime.publish.broadcast import broadcast_prices
from testbed.backends import Valkey
from tests.conftest import BONK, quote
from tests.live import Server, free_port, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.silent_proxy import SilentProxy
from tests.servers import FOLDER


@asynccontextmanager
async def prices_are_sent() -> AsyncIterator[None]:
    """Send a price that has moved, again and again."""
    is_over = asyncio.Event()

    async def send() -> None:
        for number in itertools.count(1):
            await broadcast_prices([quote(BONK, f"{number}")])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), 0.1)
                return

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        is_over.set()
        await sending  # raises what has ended it


async def test_silent_subscription_is_replaced_and_prices_and_events_arrive_again(
    transactional_db, alice, agent, position, tmp_path: Path
):
    proxy = SilentProxy()
    async with proxy.serving() as port:
        settings = {
            "REDIS_URL": f"redis://127.0.0.1:{port}",
            # Three times as long may this process, where the proxy is, stand still without being silent.
            "NEXGENT_PRESENCE_SECONDS": "1.5",
            "NEXGENT_RECONCILE_SECONDS": "3600",  # so that only the subscription delivers
        }
        server = Server("uvicorn", log=tmp_path / "log", **settings)
        await sync_to_async(server.start)()
        try:
            async with watching(server, alice, agent) as socket:
                proxy.fall_silent()
                async with prices_are_sent():
                    await socket.until("price_update_batch")
                await sync_to_async(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-1))
                assert (await socket.until("position_update"))["data"]["seq"] == 2
        finally:
            await sync_to_async(server.stop)()
        log = server.log.read_text()
        assert log.count("nothing arrives from the channel layer though it can be reached") == 1
        assert "Traceback" not in log


async def test_server_whose_valkey_has_become_a_replica_follows_the_address_to_the_new_primary(
    transactional_db, alice, agent, position, tmp_path: Path
):
    """As behind a name or an address that moves: connections that were open before still lead to the old one."""
    beta = await sync_to_async(Agent.objects.create)(owner=alice, name="beta")
    proxy, after = SilentProxy(), SilentProxy().target
    old = Valkey(FOLDER / "old" / "data")
    old.folder.parent.mkdir()
    await sync_to_async(old.start)()
    proxy.target = str(old.socket)
    async with proxy.serving() as port:
        settings = {"REDIS_URL": f"redis://127.0.0.1:{port}", "NEXGENT_PRESENCE_SECONDS": "0.3"}
        server = Server("uvicorn", log=tmp_path / "log", **settings)
        await sync_to_async(server.start)()
        try:
            async with watching(server, alice, agent) as socket:
                proxy.target = after
                demoted = redis.Redis(unix_socket_path=str(old.socket))
                await sync_to_async(demoted.replicaof)("127.0.0.1", free_port())
                demoted.close()
                async with prices_are_sent():
                    await socket.until("price_update_batch")
                async with watching(server, alice, beta) as other:
                    assert other.initial["positions"] == []
        finally:
            await sync_to_async(server.stop)()
            old.close()
    assert "Traceback" not in server.log.read_text()
