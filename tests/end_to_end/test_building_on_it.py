"""Writes the app of docs/building-on-it.md from the page into a folder, and runs it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from positions import services, valkey
from positions.models import Agent, Position, PositionEvent, Wallet
from realtime.publish.broadcast import flush
from tests.conftest import BONK, fresh_token
from tests.documents import Program, blocks
from tests.live import PATIENCE_SECONDS, Client, Server, database_url, manage, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  for every test here

in_thread = sync_to_async
FILES = {
    names[-1]: block.text
    for block in blocks("docs/building-on-it.md", "python")
    if (names := re.findall(r"`(desk/[\w/]+\.py)`", block.title))
}


class Desk:
    """The app's folder, and its commands on the tests' database and Valkey."""

    def __init__(self, folder: Path) -> None:
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for path in [*folder.rglob("*/")]:
            (path / "__init__.py").touch()
        self.environment = {
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "desk.settings",
            "PYTHONPATH": str(folder),
        }

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return manage(*arguments, **self.environment)

    async def run(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it wrote."""
        done = await in_thread(self.manage, thread_sensitive=False)(*arguments)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    async def shell(self, code: str) -> str:
        return await self.run("shell", "-v", "0", "-c", code)


@pytest.fixture
def desk(transactional_db: None, tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def follower(alice: User) -> Wallet:
    agent = Agent.objects.create(owner=alice, name="follower")
    return Wallet.objects.create(agent=agent, address="Fo11ower")


def test_page_has_the_whole_app():
    assert set(FILES) == {
        "desk/settings.py",
        "desk/apps.py",
        "desk/management/commands/buy.py",
        "desk/copying.py",
        "desk/sending.py",
        "desk/prices.py",
    }


async def test_command_of_the_app_writes_and_sockets_get_it(
    desk: Desk, daphne_server: Server, alice: User, agent: Agent, wallet: Wallet
):
    token = fresh_token()
    async with watching(daphne_server, alice, agent) as socket:
        assert await desk.run("buy", wallet.pk, token, "BONK", "1000", "2") == "BONK: 1000 at 0.002 SOL\n"
        created = (await socket.expect("position_update"))["data"]
        assert await desk.run("buy", wallet.pk, token, "BONK", "1000", "4") == "BONK: 2000 at 0.003 SOL\n"
        updated = (await socket.expect("position_update"))["data"]
    assert [created["eventType"], updated["eventType"]] == ["position_created", "position_updated"]


def test_command_of_the_app_says_what_is_wrong(desk: Desk, wallet: Wallet):
    done = desk.manage("buy", wallet.pk, BONK, "BONK", "0", "2")
    assert (done.returncode, done.stderr) == (1, "CommandError: tokens must be more than 0, not 0\n")
    assert not Position.objects.exists()


async def test_receiver_of_the_app_copies_what_a_leader_buys(
    desk: Desk, daphne_server: Server, alice: User, agent: Agent, wallet: Wallet, follower: Wallet
):
    await Agent.objects.filter(pk=agent.pk).aupdate(name="leader")
    async with watching(daphne_server, alice, follower.agent) as socket:
        await desk.run("buy", wallet.pk, BONK, "BONK", "1000", "2")
        copied = (await socket.until("position_update"))["data"]["position"]
    assert (copied["remainingAmount"], copied["totalInvestedSol"]) == (100, 0.2)
    assert await PositionEvent.objects.acount() == 2  # a copy is not copied


@pytest.mark.parametrize("function", ["send_price", "send_price_plainly"])
async def test_app_sends_a_price_to_sockets(
    desk: Desk, daphne_server: Server, alice: User, agent: Agent, position: Position, function: str
):
    async with watching(daphne_server, alice, agent) as socket:
        await desk.shell(
            f"from desk.sending import *; from decimal import Decimal;"
            f"{function}({BONK!r}, Decimal('0.0000031'), Decimal('0.00062'))"
        )
        assert await repriced(socket, 0.0000031) == {
            "tokenAddress": BONK,
            "price": 0.0000031,
            "priceUsd": 0.00062,
        }


async def test_app_sends_an_event_once_more_which_sockets_drop(
    desk: Desk, daphne_server: Server, alice: User, agent: Agent, position: Position
):
    async with watching(daphne_server, alice, agent) as socket:
        await desk.shell(
            "from desk.sending import *; from positions.models import Agent; send_again(Agent.objects.get())"
        )
        await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
        assert (await socket.until("position_update"))["data"]["seq"] == 2


async def repriced(socket: Client, price: float) -> dict[str, Any]:
    """Return the update to this price, without the status of the token.

    Other tests use the token, too: of their last price this server may say that it is stale by now.
    """
    while True:
        (update,) = (await socket.until("price_update_batch"))["data"]["updates"]
        update.pop("priceStatus", None)
        if update["price"] == price:
            return dict(update)


def wait_until_someone_listens(agent: Agent) -> None:
    deadline = time.monotonic() + 2 * PATIENCE_SECONDS
    while not valkey.client().pubsub_channels(f"*agent.{agent.pk}*"):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two checks of a condition, not instead of one


async def test_app_receives_what_the_sockets_receive(desk: Desk, agent: Agent, position: Position):
    code = (
        "import asyncio; from desk.sending import *; from positions.models import Agent;"
        "agent = Agent.objects.get(); print(asyncio.run(next_message(agent))['seq'], flush=True)"
    )
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", code]
    assert await in_thread(flush)(PATIENCE_SECONDS)  # or it might receive that the position was opened
    async with Program(*command, **desk.environment) as program:
        await asyncio.to_thread(wait_until_someone_listens, agent)
        await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
        assert await program.line() == "2"


async def test_source_of_the_app_prices_what_it_knows(
    desk: Desk, daphne_server: Server, alice: User, agent: Agent, position: Position
):
    async with watching(daphne_server, alice, agent) as socket:
        said = await desk.run("broadcast_prices", "--source", "desk", "--once")
        assert "Prices from desk." in said
        assert "1 token, 1 priced" in said
        assert await repriced(socket, 0.00000013) == {
            "tokenAddress": BONK,
            "price": 0.00000013,
            "priceUsd": 0.000026,
        }


def test_app_passes_the_checks(desk: Desk):
    done = desk.manage("check")
    assert (done.returncode, done.stdout) == (0, "System check identified no issues (0 silenced).\n")
