"""Connections to PostgreSQL that live and do not work: queries end, the connections are replaced, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from positions import services
from positions.models import Agent, Trade
from testbed import forkserver
from tests.conftest import fresh_token
from tests.live import NO_TLS, PATIENCE_SECONDS, ROOT, Server, StartServer, access_token, watching
from tests.reliability.locks import AGENTS, locked, until_waiting
from tests.reliability.silent_proxy import SilentProxy
from tests.servers import FOLDER
from tests.waiting import eventually

pytestmark = pytest.mark.postgresql

SOCKET = f"{FOLDER}/pg/.s.PGSQL.5432"
BUY = {"tokens": "5", "spentSol": "0.5"}


def through(port: int) -> str:
    """Return the address of the tests' database behind a proxy."""
    name = settings.DATABASES["default"]["NAME"]
    return f"postgresql://postgres@127.0.0.1:{port}/{name}?connect_timeout=2"


@asynccontextmanager
async def behind(proxy: SilentProxy, log: Path) -> AsyncIterator[Server]:
    """Yield a server that reaches its database through the proxy."""
    async with proxy.serving() as port:
        database = through(port)
        server = Server(
            "uvicorn", log=log, DATABASE_URL=database, NEXGENT_DATABASE_ANSWER_SECONDS="2",
            NEXGENT_DATABASE_POOL_MIN="4", NEXGENT_RECONCILE_SECONDS="0.3",
        )  # fmt: skip
        await sync_to_async(server.start)()
        try:
            yield server
        finally:
            await sync_to_async(server.stop)()


def api(server: Server, user: Any) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {access_token(user)}"}
    return httpx.AsyncClient(verify=NO_TLS, base_url=server.url, headers=headers, timeout=PATIENCE_SECONDS)


def problems(answer: httpx.Response) -> dict[str, str]:
    return {name: said for name, said in answer.json()["checks"].items() if said != "ok"}


async def test_connections_that_fell_silent_are_replaced_and_requests_and_sockets_are_served_again(
    transactional_db, alice, agent, position, tmp_path: Path
):
    beta = await sync_to_async(Agent.objects.create)(owner=alice, name="beta")
    proxy = SilentProxy(SOCKET)
    async with (
        behind(proxy, tmp_path / "log") as server,
        api(server, alice) as http,
        watching(server, alice, agent) as socket,
    ):
        await asyncio.gather(*(http.get("/api/agents/") for _ in range(8)))
        proxy.fall_silent()

        async def is_ready() -> bool:
            return problems(await http.get("/health/ready")) == {}

        async def serves() -> bool:
            return (await http.get("/api/agents/")).status_code == 200

        await eventually(serves, "a request is answered")
        await eventually(is_ready, "every check is ok, those of reconciliation included")
        assert proxy.swallowed > 0
        bought = await http.post(f"/api/positions/{position.pk}/buy/", json=BUY)
        assert bought.status_code == 200
        assert (await socket.until("position_update"))["data"]["seq"] == 2
        async with watching(server, alice, beta) as other:
            assert other.initial["positions"] == []
    assert "Traceback" not in server.log.read_text()


async def test_write_into_a_black_hole_is_answered_with_503_and_its_repeat_is_booked_once(
    transactional_db, alice, agent, position, tmp_path: Path
):
    proxy = SilentProxy(SOCKET)
    async with behind(proxy, tmp_path / "log") as server, api(server, alice) as http:
        key = {"Idempotency-Key": "the same every time"}
        assert (await http.get("/api/agents/")).status_code == 200
        proxy.is_hole = True
        proxy.fall_silent()
        refused = await http.post(f"/api/positions/{position.pk}/buy/", json=BUY, headers=key)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        proxy.is_hole = False

        async def is_booked() -> bool:
            again = await http.post(f"/api/positions/{position.pk}/buy/", json=BUY, headers=key)
            return again.status_code == 200

        await eventually(is_booked, "the repeat is booked")
    booked = Trade.objects.filter(position=position).values_list("tokens", flat=True)
    assert sorted([tokens async for tokens in booked]) == [Decimal(5), Decimal(1_000_000)]


async def test_broadcaster_whose_connections_fell_silent_sends_prices_again_also_of_new_tokens(
    transactional_db, shared_server: StartServer, alice, agent, wallet, position, tmp_path: Path
):
    database, valkey = SilentProxy(SOCKET), SilentProxy()
    async with database.serving() as database_port, valkey.serving() as valkey_port:
        environment = {
            **os.environ,
            "DATABASE_URL": through(database_port),
            "REDIS_URL": f"redis://127.0.0.1:{valkey_port}",
            "NEXGENT_DATABASE_ANSWER_SECONDS": "1",
        }
        with (tmp_path / "log").open("wb") as log:
            command = [sys.executable, "manage.py", "broadcast_prices", "--source", "simulated"]
            broadcaster = forkserver.start(
                [*command, "--interval", "0.2"], env=environment, cwd=ROOT, stdout=log, stderr=log
            )
        try:
            async with watching(shared_server("uvicorn"), alice, agent) as socket:
                await socket.until("price_update_batch")
                database.fall_silent()
                valkey.fall_silent()
                token = fresh_token()
                await sync_to_async(services.open_position)(
                    wallet=wallet,
                    token_address=token,
                    token_symbol="NEW",
                    tokens=Decimal(1),
                    spent_sol=Decimal(1),
                )
                priced: set[str] = set()
                while token not in priced:
                    batch = await socket.until("price_update_batch")
                    priced.update(update["tokenAddress"] for update in batch["data"]["updates"])
                assert database.swallowed > 0
                assert valkey.swallowed > 0
        finally:
            broadcaster.terminate()
            # In a thread: the proxies run in this one.
            assert await asyncio.to_thread(broadcaster.wait, PATIENCE_SECONDS) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_database_that_is_only_slow_cancels_the_query_and_keeps_the_connection(
    transactional_db, shared_server: StartServer, alice, agent
):
    server = shared_server("uvicorn", NEXGENT_DATABASE_ANSWER_SECONDS="0.5", NEXGENT_DATABASE_POOL_MAX="1")
    async with api(server, alice) as http:

        async def serves() -> bool:
            return (await http.get("/api/agents/")).status_code == 200

        await eventually(serves, "a request is answered")
        before = len(server.log.read_text())
        with locked(AGENTS):
            assert (await http.get("/api/agents/")).status_code == 503
            await until_waiting(0)
        await eventually(serves, "a request is answered again")
    log = server.log.read_text()[before:]
    assert "canceling statement due to user request" in log
    assert "nobody answers on it" not in log
