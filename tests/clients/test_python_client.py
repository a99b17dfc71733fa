"""clients/python against a real server: what a bot's author relies on."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from asgiref.sync import sync_to_async
from nexgent_client import (
    Changed,
    Closed,
    Ended,
    IncompatibleServer,
    Login,
    LoginRequired,
    Message,
    Nexgent,
    Position,
    Prices,
    PriceUpdate,
    Refreshed,
    ServerRefused,
    Snapshot,
    Subscribed,
)
from nexgent_client import sync as for_scripts
from nexgent_client.holdings import value
from nexgent_client.messages import Reader

from positions import services
from positions.models import Agent, Trade, Wallet
from positions.prices.cache import put_prices
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import BONK, WIF, fresh_token, quote
from tests.documents import blocks
from tests.live import PATIENCE_SECONDS, ROOT, Server, access_token
from tests.realtime.conftest import closed_connections  # noqa: F401  for every test here

M = TypeVar("M", bound=Message)
in_thread = sync_to_async
LOGIN = {"username": "alice", "password": "alice-has-a-password"}


async def soon(work: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(work, PATIENCE_SECONDS)


async def until(messages: AsyncIterator[Message], kind: type[M]) -> M:
    """Return the next message of this kind."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for message in messages:
            if isinstance(message, kind):
                return message
    raise AssertionError(f"the stream ended before {kind}")


@pytest.fixture
async def nexgent(daphne_server: Server, transactional_db: None, alice) -> AsyncIterator[Nexgent]:
    async with Nexgent(daphne_server.url, await in_thread(access_token)(alice)) as client:
        yield client


@pytest.mark.parametrize("compact", [True, False])
async def test_holdings_follow_events_and_prices_to_the_digit(
    nexgent, agent: Agent, wallet: Wallet, compact: bool
):
    stream, token = nexgent.follow(str(agent.pk), compact=compact), fresh_token()
    async with aclosing(aiter(stream)) as messages:
        assert (await until(messages, Snapshot)).positions == []
        bought = await in_thread(services.open_position)(
            wallet=wallet,
            token_address=token,
            token_symbol="BONK",
            tokens=Decimal("1000000.5"),
            spent_sol=Decimal(2),
        )
        opened = await until(messages, Changed)
        assert (opened.is_new, opened.position.id, stream.holdings.seq) == (True, str(bought.pk), opened.seq)
        price = quote(token, "0.0000031234567")
        await put_prices([price])
        await broadcast_prices([price])
        [update] = (await until(messages, Prices)).updates
        assert update.price == Decimal("0.0000031234567")
        [held] = stream.holdings.of_token(token)
        [there] = (await nexgent.rest.get("positions/"))["results"]
        for name, key in [
            ("position_value_sol", "positionValueSol"),
            ("position_value_usd", "positionValueUsd"),
            ("profit_loss_sol", "profitLossSol"),
            ("profit_loss_usd", "profitLossUsd"),
            ("profit_loss_percent", "profitLossPercent"),
            ("price_change_percent", "priceChangePercent"),
        ]:
            assert getattr(held, name) == (None if there[key] is None else Decimal(there[key])), name
        await in_thread(services.close_position)(position_id=bought.pk, proceeds_sol=Decimal(3))
        assert (await until(messages, Closed)).position_id == str(bought.pk)
        assert len(stream.holdings) == 0


@pytest.mark.parametrize(
    "vector", json.loads((ROOT / "tests/accounting_vectors.json").read_text()), ids=lambda v: v["name"]
)
def test_client_values_as_the_server_does(vector: dict[str, Any]):
    """The vectors that Python's and JavaScript's accounting have."""
    given, expected = vector["inputs"], vector["expected"]
    if not {"purchasePrice", "remainingAmount", "price"} <= given.keys():
        return
    position = _position(
        purchase_price=Decimal(given["purchasePrice"]),
        remaining_amount=Decimal(given["remainingAmount"]),
        total_invested_sol=Decimal(given["totalInvestedSol"]),
        realized_profit_sol=Decimal(given["realizedProfitSol"]),
    )
    price_usd = given.get("priceUsd")
    update = PriceUpdate(
        token_address=BONK,
        price=Decimal(given["price"]),
        price_usd=None if price_usd is None else Decimal(price_usd),
    )
    value(position, update)
    found = {_snake(key): expected[key] for key in expected}
    shown = asdict(position)
    assert {name: shown[name] for name in found if name in shown} == {
        name: None if text is None else Decimal(text) for name, text in found.items() if name in shown
    }


def _snake(key: str) -> str:
    return re.sub("([A-Z])", lambda match: f"_{match[1].lower()}", key)


def _position(**given: Any) -> Position:
    example = next(
        json.loads(block.text)
        for block in blocks("docs/protocol.md", "json")
        if "remainingAmount" in block.text
    )
    made = Reader().read(json.dumps(example))
    assert isinstance(made, Changed)
    for name, number in given.items():
        setattr(made.position, name, number)
    return made.position


async def test_stream_resumes_over_a_restart_with_each_event_once(
    transactional_db: None, tmp_path: Path, alice, agent: Agent, wallet: Wallet
):
    with Server("uvicorn", log=tmp_path / "log") as server:
        async with Nexgent(server.url, Login(**LOGIN, name="test")) as nexgent:
            stream = nexgent.follow(str(agent.pk))
            async with aclosing(aiter(stream)) as messages:
                await until(messages, Snapshot)
                server.stop()
                for symbol in ("BONK", "WIF"):
                    await in_thread(services.open_position)(
                        wallet=wallet,
                        token_address={"BONK": BONK, "WIF": WIF}[symbol],
                        token_symbol=symbol,
                        tokens=Decimal(10),
                        spent_sol=Decimal(1),
                    )
                await in_thread(server.start)()
                assert (await until(messages, Subscribed)).recovered
                seen = [await until(messages, Changed) for _ in range(2)]
                assert [(each.seq, each.position.token_symbol) for each in seen] == [(1, "BONK"), (2, "WIF")]
                assert {position.token_symbol for position in stream.holdings} == {"BONK", "WIF"}


async def test_token_is_renewed_on_the_open_connection(
    transactional_db: None, tmp_path: Path, alice, agent: Agent
):
    with Server("daphne", log=tmp_path / "log", NEXGENT_ACCESS_TOKEN_MINUTES="0.2") as server:
        async with (
            Nexgent(server.url, Login(**LOGIN)) as nexgent,
            aclosing(aiter(nexgent.follow(str(agent.pk)))) as messages,
        ):
            await until(messages, Snapshot)
            first = await until(messages, Refreshed)
            assert (await until(messages, Refreshed)).token_expires_at > first.token_expires_at


async def test_newer_owner_ends_the_stream_and_watchers_stay(
    nexgent, daphne_server: Server, agent: Agent, wallet: Wallet
):
    owner, watcher = nexgent.follow(str(agent.pk)), nexgent.follow(str(agent.pk), watch=True)
    async with aclosing(aiter(owner)) as owned, aclosing(aiter(watcher)) as watched:
        await until(owned, Snapshot)
        await until(watched, Snapshot)
        with pytest.raises(RuntimeError, match="follows agent"):
            await anext(aiter(nexgent.follow(str(agent.pk))))
        elsewhere = daphne_server.url.replace("127.0.0.1", "localhost")  # as another program would
        async with (
            Nexgent(elsewhere, await nexgent.rest.token()) as other,
            aclosing(aiter(other.follow(str(agent.pk)))) as newer,
        ):
            await until(newer, Snapshot)
            with pytest.raises(Ended, match="New connection established"):
                await until(owned, Changed)
            await in_thread(services.open_position)(
                wallet=wallet,
                token_address=BONK,
                token_symbol="BONK",
                tokens=Decimal(1),
                spent_sol=Decimal(1),
            )
            assert (await until(watched, Changed)).position.token_symbol == "BONK"


async def test_wrong_agent_token_and_password_end_with_what_to_do(
    nexgent, daphne_server: Server, agent: Agent
):
    with pytest.raises(Ended, match="Agent not found"):
        await until(aiter(nexgent.follow("00000000-0000-0000-0000-000000000000")), Snapshot)
    for credentials in ("no-token", Login("alice", "wrong")):
        async with Nexgent(daphne_server.url, credentials) as stranger:
            with pytest.raises(LoginRequired):
                await until(aiter(stranger.follow(str(agent.pk))), Snapshot)
            with pytest.raises(LoginRequired):
                await stranger.agents()


@asynccontextmanager
async def answers_lost(server: Server, count: int) -> AsyncIterator[str]:
    """A way to the server on which the first answers to writes are lost, after the server has acted."""
    left = count

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        there, back = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", request)
            body = await reader.readexactly(int(length[1])) if length else b""
            back.write(re.sub(rb"(?i)connection: [^\r]*", b"connection: close", request) + body)
            answer = await there.read()
            if request.startswith(b"POST") and left:
                left -= 1
            else:
                writer.write(answer)
                await writer.drain()
        finally:
            for each in (back, writer):
                each.close()
                await each.wait_closed()

    relaying = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with relaying:
        yield f"http://127.0.0.1:{relaying.sockets[0].getsockname()[1]}"


async def test_write_whose_answers_are_lost_is_booked_once(nexgent, daphne_server: Server, wallet: Wallet):
    async with answers_lost(daphne_server, 2) as url, Nexgent(url, await nexgent.rest.token()) as client:
        opened = await soon(
            client.open_position(
                wallet=wallet.address, token_address=BONK, tokens=Decimal("1e3"), spentSol=Decimal("0.10")
            )
        )
        assert opened["totalInvestedSol"] == Decimal("0.1")
        assert await Trade.objects.acount() == 1
        await client.plan_take_profits(opened["id"], levels=4)
        sold = await client.take_profit(opened["id"], tokens=500, proceedsSol=1, levels=2)
        assert (sold["takeProfitLevelsHit"], sold["totalTakeProfitLevels"]) == (2, 4)
        with pytest.raises(ServerRefused, match=r"^400: tokens: ") as refused:
            await client.buy(opened["id"], tokens=-1, spentSol=1)
        assert refused.value.status == 400
    with pytest.raises(TypeError, match=r"cannot be sent"):
        await nexgent.buy(opened["id"], tokens=object())


def test_script_without_async_follows_and_writes(
    daphne_server: Server, transactional_db, alice, agent, wallet
):
    with for_scripts.Nexgent(daphne_server.url, Login(**LOGIN)) as nexgent:
        assert [each["id"] for each in nexgent.agents()] == [str(agent.pk)]
        stream = nexgent.follow(str(agent.pk), watch=True)
        messages = iter(stream)
        for message in messages:
            if isinstance(message, Snapshot):
                nexgent.open_position(wallet=wallet.address, token_address=BONK, tokens=1, spentSol="0.5")
            if isinstance(message, Changed):
                break
        assert [position.total_invested_sol for position in stream.holdings] == [Decimal("0.5")]
        messages.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("version", "watch", "said"),
    [
        (
            "2",
            False,
            "the server is newer than this client: it speaks version 2 of the protocol, the client 1",
        ),
        (
            "0.9",
            False,
            "the server is older than this client: it speaks version 0 of the protocol, the client 1",
        ),
        (
            "1",
            True,
            "the server is older than this client: it has no watchers, and a socket would take the agent",
        ),
    ],
)
async def test_server_that_is_newer_or_older_is_told_apart(
    server_of_version, version: str, watch: bool, said: str
):
    async with Nexgent(server_of_version(version), "a-token") as nexgent:
        with pytest.raises(IncompatibleServer, match=said):
            await anext(aiter(nexgent.follow("x", watch=watch)))


async def test_mistake_in_a_program_raises_at_once_with_a_sentence():
    with pytest.raises(ValueError, match=r"^url must begin with http:// or https://; it is 'localhost'$"):
        Nexgent("localhost", "a-token")
    with pytest.raises(
        TypeError, match=r"^credentials must be a Login, a Token or its text, .*; it is None$"
    ):
        Nexgent("http://localhost", None)  # type: ignore[arg-type]
    for url in ("http://", "http://localhost/desk?agent=1"):
        with pytest.raises(
            ValueError, match=r"^url must be a server's address, and a path at most; it is 'http://"
        ):
            Nexgent(url, "a-token")
    with pytest.raises(ValueError, match=r"^a token must be a text; it is empty$"):
        Nexgent("http://localhost", "")  # of an environment variable that is not set, say
    with pytest.raises(ValueError, match=r"^password must be a text; it is NoneType$"):
        Login("alice", None)  # type: ignore[arg-type]
    async with Nexgent("http://localhost", "a-token") as nexgent:
        for agent in ("", {"id": "a"}):
            with pytest.raises(ValueError, match=r"^agent_id must be the id of an agent; it is "):
                nexgent.follow(agent)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^position_id must be the id of a position; it is None$"):
            await nexgent.close_position(None)  # type: ignore[arg-type]
        for key in ("", "ü", "k" * 256):
            with pytest.raises(ValueError, match=r"^key must be 1 to 255 printable ASCII characters; it is "):
                await nexgent.buy("an-id", key=key, tokens=1, spentSol=1)


async def test_stream_that_is_closed_ends_also_while_it_waits_for_the_server():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    waits = asyncio.Event()

    class Waits(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "is lost" in record.getMessage():
                waits.set()

    logger, handler = logging.getLogger("nexgent_client"), Waits(logging.INFO)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        async with Nexgent(f"http://127.0.0.1:{port}", "a-token") as nexgent:
            stream = nexgent.follow("x")
            following = asyncio.create_task(anext(aiter(stream), None))
            await soon(waits.wait())
            await stream.close()
            assert await soon(following) is None
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


async def test_agent_can_be_followed_again_once_its_stream_is_closed(nexgent: Nexgent, agent: Agent):
    """Though the first iterator is still there: in a variable, say."""
    first, second = nexgent.follow(str(agent.pk)), nexgent.follow(str(agent.pk))
    async with aclosing(aiter(first)) as before:
        await until(before, Snapshot)
        await first.close()
        async with aclosing(aiter(second)) as messages:
            await until(messages, Snapshot)


@pytest.mark.parametrize("number", [0, 1])
def test_readme_says_what_works(daphne_server: Server, transactional_db, agent, wallet, number: int, capsys):
    """Both examples run until the first line that they print."""
    services.open_position(
        wallet=wallet, token_address=BONK, token_symbol="BONK", tokens=Decimal(1), spent_sol=Decimal(1)
    )
    text = blocks("clients/python/README.md", "python")[number].text
    text = text.replace("http://127.0.0.1:4000", daphne_server.url).replace(
        '"demo", "demo"', '"alice", "alice-has-a-password"'
    )
    printed: list[Any] = []

    class Enough(Exception):
        pass

    def stop(*what: Any) -> None:
        printed.append(what)
        raise Enough

    with pytest.raises(Enough):
        exec(compile(text, "README.md", "exec"), {"print": stop, "__name__": "example"})  # noqa: S102
    assert printed


async def test_write_that_is_refused_for_now_is_sent_again_when_the_server_says(caplog):
    answers = [b"429 Too Many Requests\r\nRetry-After: 1", b"200 OK"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}" % answers.pop(0))
        await writer.drain()
        writer.close()

    caplog.set_level("INFO", logger="nexgent_client")
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Nexgent(url, "a-token") as nexgent:
            assert await nexgent.rest.write("positions/") == {}
    [line] = [record.getMessage() for record in caplog.records if record.name == "nexgent_client"]
    assert 1 <= float(line.split()[5]) < 5
    assert not answers


async def test_stream_and_write_that_begin_before_the_server_wait_for_it(
    transactional_db: None, tmp_path: Path, alice, agent: Agent, wallet: Wallet
):
    server = Server("uvicorn", log=tmp_path / "log")
    async with (
        Nexgent(server.url, Login(**LOGIN)) as nexgent,
        aclosing(aiter(nexgent.follow(str(agent.pk)))) as messages,
    ):
        first = asyncio.create_task(until(messages, Snapshot))
        terms: dict[str, Any] = {"wallet": wallet.address, "token_address": BONK, "tokens": 1, "spentSol": 1}
        booked = asyncio.create_task(nexgent.open_position(**terms))
        done, _ = await asyncio.wait({first, booked}, timeout=1)
        assert not done
        with await in_thread(server.start)():
            await soon(first)
            assert (await soon(booked))["totalInvestedSol"] == 1


async def test_server_that_gives_no_tokens_for_now_is_asked_again():
    """As while its database is away: 503 for the login, with the time to wait."""
    refusals = [b"503 Service Unavailable\r\nRetry-After: 1"]
    tokens = b'{"access": "a", "refresh": "b"}'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"}")).split()[1]
        body, status = (tokens if path.endswith(b"/token/") else b"{}"), b"200 OK"
        if refusals:
            status = refusals.pop()
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Nexgent(url, Login("alice", "secret")) as nexgent:
            assert await soon(nexgent.rest.write("positions/")) == {}
