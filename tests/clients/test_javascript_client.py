"""clients/javascript, installed as a package, in node against a real server: what an author of a bot relies on."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from positions import services
from positions.models import Agent, Wallet
from positions.prices.cache import put_prices
from realtime.publish.broadcast import broadcast_prices
from tests import javascript
from tests.conftest import BONK, WIF, fresh_token, quote
from tests.documents import Program
from tests.live import PATIENCE_SECONDS, ROOT, Server, access_token
from tests.realtime.conftest import closed_connections  # noqa: F401  for every test here

in_thread = sync_to_async
LOGIN = {"username": "alice", "password": "alice-has-a-password"}
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def project() -> Path:
    return javascript.project()


class Follower(Program):
    """tests/clients/javascript/follow.ts: writes what the client reports, does what it is sent."""

    def __init__(self, project: Path, server: str, *, watch: bool = True, **access: Any) -> None:
        given = json.dumps({"server": server, "watch": watch, **access})
        super().__init__("node", str(project / "built/follow.js"), given)

    def send(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())

    async def next(self, kind: str, accept: Callable[[Any], bool] = lambda what: True) -> Any:
        """Return what is reported next of this kind, and is accepted."""
        while True:
            said, what = json.loads(await self.line())
            if said == kind and accept(what):
                return what

    async def positions(self, accept: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Return the positions once the client is connected and they are accepted."""
        _, positions = await self.next("shown", lambda shown: shown[0] and accept(shown[1]))
        return list(positions)


def open_one(wallet: Wallet, token: str = BONK, symbol: str = "BONK") -> Any:
    return services.open_position(
        wallet=wallet,
        token_address=token,
        token_symbol=symbol,
        tokens=Decimal("1000000.5"),
        spent_sol=Decimal(2),
    )


def at_price(price: str) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda positions: bool(positions[0]["currentPrice"] == price)


async def test_positions_follow_events_and_prices_to_the_digit(
    project: Path, daphne_server: Server, transactional_db: None, alice, agent: Agent, wallet: Wallet, client
):
    token, access = fresh_token(), await in_thread(access_token)(alice)
    async with Follower(project, daphne_server.url, token=access) as follower:
        follower.send(str(agent.pk))
        await follower.positions(lambda positions: positions == [])
        bought = await in_thread(open_one)(wallet, token)
        await follower.positions(lambda positions: [each["id"] for each in positions] == [str(bought.pk)])
        for price in ("0.0000031234567", "0.000000000000000000003123456789"):  # of which a double holds 16
            quoted = quote(token, price, "0.000585648131")
            await put_prices([quoted])
            await broadcast_prices([quoted])
            [held] = await follower.positions(at_price(price))
        answer = await in_thread(client.get)("/api/positions/", headers={"Authorization": f"Bearer {access}"})
        [there] = json.loads(answer.content, parse_float=str)["results"]
        # The socket's own; what the feed writes at the end of a round; when the price came.
        compared = held.keys() - {"priceKey", "peakPrice", "lowestPrice", "priceTimestamp"}
        assert {name: held[name] for name in compared} == {
            name: str(there[name]) if isinstance(held[name], str) else there[name] for name in compared
        }
        await in_thread(services.close_position)(position_id=bought.pk, proceeds_sol=Decimal(3))
        await follower.positions(lambda positions: positions == [])
        follower.send("disconnect")
        assert await follower.next("state") == {"name": "idle"}
        assert follower.process.stdin
        follower.process.stdin.close()
        assert (
            await asyncio.wait_for(follower.process.wait(), PATIENCE_SECONDS) == 0
        )  # nothing keeps it alive


async def test_client_resumes_over_a_restart_with_each_event_once_and_renews_its_token(
    project: Path, transactional_db: None, tmp_path: Path, alice, agent: Agent, wallet: Wallet
):
    with Server("uvicorn", log=tmp_path / "log", NEXGENT_ACCESS_TOKEN_MINUTES="0.2") as server:
        async with Follower(project, server.url, login=LOGIN) as follower:
            follower.send(str(agent.pk))
            await follower.positions(lambda positions: positions == [])
            for _ in range(2):  # by the second one, the token of the connect has expired
                await follower.next("token", lambda fresh: fresh)
            await in_thread(open_one)(wallet)
            assert await follower.next("event") == [1, "position_created"]
            states = [line for line in follower.lines if line.startswith('["state"')]
            assert len(states) == 2, states  # connecting, live
            server.stop()
            assert (await follower.next("state"))["name"] == "waiting"
            await in_thread(open_one)(wallet, WIF, "WIF")
            await in_thread(server.start)()
            assert await follower.next("event") == [2, "position_created"]
            symbols = [
                each["tokenSymbol"] for each in await follower.positions(lambda positions: bool(positions))
            ]
            assert symbols == ["BONK", "WIF"]


async def test_client_stops_where_the_server_says_so(
    project: Path, daphne_server: Server, transactional_db: None, alice, agent: Agent, wallet: Wallet
):
    access = await in_thread(access_token)(alice)
    async with (
        Follower(project, daphne_server.url, token=access, watch=False) as owner,
        Follower(project, daphne_server.url, token=access, watch=False) as newer,
        Follower(project, daphne_server.url, token=access) as watcher,
    ):
        for follower in (owner, watcher, newer):
            follower.send(str(agent.pk))
            await follower.positions(lambda positions: positions == [])
        ended = {"name": "taken-over", "reason": "New connection established"}
        assert await owner.next("state", lambda state: state["name"] != "live") == ended
        await in_thread(open_one)(wallet)
        for follower in (watcher, newer):
            assert await follower.next("event") == [1, "position_created"]
        owner.send(str(agent.pk))  # asked to: it takes the agent back, with what it has missed
        await owner.positions(lambda positions: len(positions) == 1)
        assert await newer.next("state") == ended
        newer.send(NOBODY)
        assert await newer.next("state", lambda state: state["name"] != "connecting") == {
            "name": "unavailable",
            "reason": "Agent not found",
        }
        watcher.send(json.dumps({"token": "no-token"}))
        watcher.send(str(agent.pk))
        assert await watcher.next("state", lambda state: state["name"] != "connecting") == {
            "name": "logged-out"
        }


async def test_mistake_in_a_program_raises_at_once_with_a_sentence(
    project: Path, daphne_server: Server, transactional_db: None, alice, agent: Agent
):
    access = await in_thread(access_token)(alice)
    async with Follower(project, daphne_server.url, token=access) as follower:
        for options, sentence in [
            (
                {"token": ""},
                "token must be a function that returns an access token, or the text of one; it is ",
            ),
            (
                {"token": 1},
                "token must be a function that returns an access token, or the text of one; it is 1",
            ),
            (
                {"server": "localhost:4000"},
                "server must begin with http:// or https://; it is localhost:4000",
            ),
            ({"server": None}, "server must begin with http:// or https://; it is null"),
            ({"watch": "no"}, "watch must be true or false; it is no"),
            ({"url": "/ws"}, "url must be a function; it is /ws"),
            ({"WebSocket": {}}, "WebSocket must be a class; it is [object Object]"),
        ]:
            follower.send(json.dumps(options))
            assert await follower.next("raised") == f"TypeError: {sentence}"
        follower.send("")
        assert await follower.next("raised") == "TypeError: agentId must be the id of an agent; it is "
        follower.send(json.dumps({"WebSocket": None}))
        follower.send(str(agent.pk))
        assert await follower.next("raised") == (
            'TypeError: this JavaScript has no WebSocket: give one in the options, that of the package "ws", say'
        )
        for _ in range(2):
            follower.send(json.dumps({"watch": False}))
            follower.send(str(agent.pk))
        assert await follower.next("raised") == (
            f"Error: this program owns agent {agent.pk} already: close that client, or watch (watch: true)"
        )


OTHER = "the server is {} than this client: it speaks version {} of the protocol, the client 1"
NO_WATCHERS = "it has no watchers, and a socket would take the agent from its owner"


@pytest.mark.parametrize(
    ("version", "watch", "said"),
    [
        ("2", False, OTHER.format("newer", 2)),
        ("0.9", False, OTHER.format("older", 0)),
        ("1", True, f"the server is older than this client: {NO_WATCHERS}"),
    ],
)
async def test_server_that_is_newer_or_older_is_told_apart(
    project: Path, server_of_version: Callable[[str], str], version: str, watch: bool, said: str
):
    async with Follower(project, server_of_version(version), watch=watch, token="a-token") as follower:
        follower.send(NOBODY)
        state = await follower.next("state", lambda state: state["name"] != "connecting")
        assert state == {"name": "incompatible", "reason": said}


async def test_hook_renders_on_a_server_without_a_socket(project: Path):
    async with Program("node", str(project / "built/render.js")) as program:
        html = "<section><button>Connect</button><ul></ul></section>"
        assert await program.line() == html


async def test_readme_says_what_works(
    project: Path, daphne_server: Server, transactional_db: None, alice, agent: Agent, wallet: Wallet
):
    # Of this token the server, which other tests used, knows no price.
    await in_thread(open_one)(wallet, fresh_token())
    text = (project / "built/readme.js").read_text().replace("http://127.0.0.1:4000", daphne_server.url)
    text = text.replace('"demo", password: "demo"', '"alice", password: "alice-has-a-password"')
    (project / "built/readme_here.js").write_text(text)
    command = ("node", str(project / "built/readme_here.js"))
    async with Program(*command, NEXGENT_AGENT=str(agent.pk)) as program:
        assert await program.until("positions") == "1 positions, 2 SOL"


def test_package_has_the_types_of_the_page(project: Path):
    """tests/realtime/test_page_types.py compares those with the description of the socket."""
    shipped = (project / "node_modules/nexgent-client/dist/types.d.ts").read_text()
    for name in ("wire.d.ts", "client.d.ts"):
        text = (ROOT / "tools/page" / name).read_text()
        assert text.replace("\ndeclare namespace", "\nexport declare namespace") in shipped


def test_package_is_of_the_same_release_as_the_server_and_the_python_client():
    described = json.loads((ROOT / "clients/javascript/package.json").read_text())["version"]
    for path in ("pyproject.toml", "clients/python/pyproject.toml"):
        assert tomllib.loads((ROOT / path).read_text())["project"]["version"] == described
