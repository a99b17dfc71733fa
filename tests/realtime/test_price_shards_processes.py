"""Two server processes whose agents hold different tokens, behind a real price feed that sends by shard."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from positions import services
from positions.models import Agent, Wallet
from realtime.protocol.shards import shard_of
from testbed import forkserver
from testbed.backends import Valkey
from tests.conftest import fresh_token
from tests.live import PATIENCE_SECONDS, ROOT, Client, Server, StartServer, watching
from tests.realtime.test_metrics import TOKEN, name_of, scrape, total
from tests.waiting import eventually

in_thread = sync_to_async
SHARDS = 4
HELD_ELSEWHERE = 120
"""Tokens of agents without sockets: the feed sends their prices, too."""


def token_in(shard: int) -> str:
    while shard_of(token := fresh_token(), SHARDS) != shard:
        pass
    return token


def hold(user: User, name: str, *tokens: str) -> Agent:
    agent, _ = Agent.objects.get_or_create(owner=user, name=name)
    wallet, _ = Wallet.objects.get_or_create(agent=agent, address=f"Wallet of {name}")
    for token in tokens:
        services.open_position(
            wallet=wallet, token_address=token, token_symbol="NEW", tokens=Decimal(10), spent_sol=Decimal(1)
        )
    return agent


@pytest.fixture(scope="module")
def other_valkey(tmp_path_factory) -> Iterator[Valkey]:
    """What the feed and the servers here have in common: a test kills it."""
    with Valkey(tmp_path_factory.mktemp("shards") / "v") as running:
        yield running


@contextmanager
def feed(redis_url: str, shards: int, log: Path) -> Iterator[None]:
    """`manage.py broadcast_prices`, five rounds a second."""
    with log.open("ab") as output:
        running = forkserver.start(
            [sys.executable, "manage.py", "broadcast_prices", "--source", "simulated", "--interval", "0.2"],
            env=Server("daphne", log=log, REDIS_URL=redis_url, NEXGENT_PRICE_SHARDS=str(shards)).environment,
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


async def priced(socket: Client, token: str) -> None:
    """Wait for a batch of prices, which must be of this token alone."""
    updates = (await socket.until("price_update_batch"))["data"]["updates"]
    assert [update["tokenAddress"] for update in updates] == [token]


async def bytes_of_a_round(server: Server) -> float:
    """Return how many bytes the process receives for each message to its one socket, by its own numbers."""
    name = name_of(server)

    def numbers() -> tuple[float, float]:
        values = scrape(server)
        return (
            total(values, "nexgent_channel_layer_bytes_total", process=name, content="prices"),
            total(values, "nexgent_messages_sent_total", process=name, type="price_update_batch"),
        )

    before, sent_before = await in_thread(numbers)()
    after: list[tuple[float, float]] = []

    async def rounds_have_passed() -> bool:
        after[:] = [await in_thread(numbers)()]
        return after[0][1] >= sent_before + 3

    await eventually(rounds_have_passed, "three rounds have come")
    ((received, sent),) = after
    return (received - before) / (sent - sent_before)


async def has_joined(server: Server, shards: int) -> None:
    name = name_of(server)

    async def is_so() -> bool:
        values = await in_thread(scrape)(server)
        return total(values, "nexgent_price_shards_joined", process=name) == shards

    await eventually(
        is_so, f"the process has joined {shards} groups: prices come by the reconciler until then"
    )


@asynccontextmanager
async def both(
    servers: list[Server], alice: User, bob: User, agents: list[Agent]
) -> AsyncIterator[list[Client]]:
    async with (
        watching(servers[0], alice, agents[0]) as first,
        watching(servers[1], bob, agents[1]) as second,
    ):
        yield [first, second]


async def test_each_process_receives_the_shards_of_its_agents_and_survives_a_restart_of_valkey(
    transactional_db, shared_server: StartServer, other_valkey: Valkey, alice, bob, tmp_path
):
    tokens = [token_in(0), token_in(2)]
    agents = [
        await in_thread(hold)(user, "alpha", token) for user, token in zip((alice, bob), tokens, strict=True)
    ]
    await in_thread(hold)(alice, "away", *(fresh_token() for _ in range(HELD_ELSEWHERE)))
    servers = [
        shared_server(
            kind,
            REDIS_URL=other_valkey.url,
            NEXGENT_METRICS_TOKEN=TOKEN,
            NEXGENT_PRESENCE_SECONDS="0.2",
            NEXGENT_RECONCILE_SECONDS="0.5",
        )
        for kind in ("daphne", "uvicorn")
    ]
    log = tmp_path / "feed.log"
    async with both(servers, alice, bob, agents) as sockets:
        sides = list(zip(sockets, tokens, strict=True))
        with feed(other_valkey.url, 1, log):
            for socket, token in sides:
                await priced(socket, token)
            whole = [await bytes_of_a_round(server) for server in servers]
        # A feed with another number takes over. The sockets stay open and hear its prices.
        with feed(other_valkey.url, SHARDS, log):
            for socket, token in sides:
                await priced(socket, token)
            parts = [await bytes_of_a_round(server) for server in servers]
            for server in servers:
                await has_joined(server, 1)
            for part, all_of_it in zip(parts, whole, strict=True):
                assert part < all_of_it / 2  # a quarter, and the little that is for all

            # Valkey is killed and comes back empty: each shard's prices go on.
            other_valkey.lose_everything()
            other_valkey.start()
            for server in servers:
                await bytes_of_a_round(server)

            # A position brings a token of a shard that the process has not joined.
            new = token_in(3)
            await in_thread(hold)(bob, "alpha", new)
            await sockets[1].until("position_update")
            heard: set[str] = set()
            while heard != {tokens[1], new}:
                updates = (await sockets[1].until("price_update_batch"))["data"]["updates"]
                heard = {update["tokenAddress"] for update in updates}
            await has_joined(servers[1], 2)
            await has_joined(servers[0], 1)
    for server in servers:
        text = server.log.read_text()
        assert text.count(f"the price feed sends by {SHARDS} shards of tokens now, not 1") == 1
        assert "Traceback" not in text
