"""A PostgreSQL that takes connections and requests, and answers none: what needs no database goes on."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from positions import valkey
from positions.prices.cache import put_prices
from realtime.hub import position_events
from realtime.hub.epochs import Epochs
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import Ownership, owner_key
from realtime.hub.position_events import PositionEvents
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.reconciler import Reconciler
from realtime.hub.sockets import Sockets
from realtime.hub.token_index import TokenIndex
from realtime.monitoring.tasks import Tasks
from testbed.templates import Templates
from tests.conftest import quote
from tests.live import PATIENCE_SECONDS, Server, client
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.cluster import Cluster
from tests.reliability.locks import AGENTS, EVENTS, locked, until_waiting
from tests.servers import FOLDER
from tests.waiting import eventually


@pytest.fixture
def cluster(settings, templates: Templates) -> Iterator[Cluster]:
    """A server with a PostgreSQL and a Valkey of its own, without the process that broadcasts prices."""
    quick = {"NEXGENT_RECONCILE_SECONDS": "0.2"}
    with Cluster(
        FOLDER / "hang", kinds=("uvicorn",), sockets=2, settings=quick, templates=templates
    ) as cluster:
        cluster.kill_broadcaster()
        settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": cluster.valkey.url}
        yield cluster


def not_ok(server: Server) -> dict[str, str]:
    """Return what /health/ready says of each check that is not ok."""
    try:
        answer = urllib.request.urlopen(f"{server.url}/health/ready", timeout=PATIENCE_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return {name: said for name, said in json.load(answer)["checks"].items() if said != "ok"}


async def test_prices_and_claims_are_reconciled_while_the_database_hangs(cluster):
    server, postgresql = cluster.servers[0], cluster.postgresql
    one, other = cluster.agents

    def connect(agent: str) -> Any:
        return client(server, token=cluster.access, agent=agent)

    async with connect(one) as first, connect(other) as second:
        for socket in (first, second):
            await socket.until("initial_data")
        postgresql.hang()
        try:

            async def is_noticed() -> bool:
                return await asyncio.to_thread(not_ok, server) == {"database": "unavailable"}

            await eventually(is_noticed, "the database is named")
            for price in ("0.5", "0.625"):
                await put_prices([quote(token, price) for token in cluster.tokens])
                batch = await first.until("price_update_batch")
                assert {update["price"] for update in batch["data"]["updates"]} == {float(price)}
            owner = int(await valkey.async_client().get(owner_key(other)) or 0)
            await valkey.async_client().set(owner_key(other), owner + 1)
            assert (await second.closed())[:2] == (1000, "New connection established")
            async with connect(other) as late:
                assert (await late.closed())[:2] == (1013, "Try again later")
        finally:
            postgresql.resume()

        async def is_ready() -> bool:
            return await asyncio.to_thread(not_ok, server) == {}

        await eventually(is_ready, "the server is ready again")
        async with connect(other) as again:
            await again.until("initial_data")


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    tasks = Tasks()
    yield tasks
    await tasks.stop(tasks.checks())


@pytest.mark.postgresql
async def test_step_that_overruns_is_logged_once_and_tried_again(
    transactional_db, settings, caplog, tasks, agent
):
    caplog.set_level(logging.INFO, logger="realtime")
    settings.NEXGENT = {**settings.NEXGENT, "RECONCILE_SECONDS": 0.01}
    revoked: list[Outbox] = []
    sockets = Sockets()
    sockets.add(socket_of_a_stranger(str(agent.pk)))
    index, latest = TokenIndex[Outbox](), LatestPrices()
    fan_out = PriceFanOut(latest, index)
    reconciler = Reconciler(
        sockets,
        events=PositionEvents(sockets, index, latest, fan_out, spawn=tasks.spawn),
        fan_out=fan_out,
        ownership=Ownership(),
        epochs=Epochs(lambda: None),
        revoke=revoked.append,
        deadline_seconds=0.05,
    )
    with locked(AGENTS):
        tasks.keep_running("events", reconciler.loops()["reconcile_events"], grace_seconds=0.0)
        await until_waiting(2, AGENTS, or_more=True)  # it was tried again, while the first query hangs
        assert tasks.checks() == {"events": "not working"}
        assert revoked == []

    async def works() -> bool:
        return bool(tasks.checks() == {"events": "ok"})

    await eventually(works, "the step works again")
    assert revoked
    said = [record.getMessage() for record in caplog.records if record.name == "realtime.hub.reconciler"]
    assert said[:2] == [  # a busy machine may overrun the deadline once more
        "reconciling events failed; retrying: not done within 0.05 s",
        "reconciling events works again",
    ]


@pytest.mark.postgresql
async def test_missed_events_whose_query_hangs_are_read_by_the_next_attempt(
    transactional_db, monkeypatch, caplog, tasks, position
):
    monkeypatch.setattr(position_events, "READ_SECONDS", 0.05)
    outbox = socket_of_a_stranger(str(position.agent_id))
    index, latest = TokenIndex[Outbox](), LatestPrices()
    sockets = Sockets()
    sockets.add(outbox)
    events = PositionEvents(sockets, index, latest, PriceFanOut(latest, index), spawn=tasks.spawn)
    outbox.start([], 0, [])
    with locked(EVENTS):
        events.catch_up(outbox, upto=1)
        await tasks.spawned()  # while the query still waits
        await until_waiting(1, EVENTS)
    monkeypatch.setattr(position_events, "READ_SECONDS", PATIENCE_SECONDS)
    events.catch_up(outbox, upto=1)
    await tasks.spawned()
    assert outbox.seq == 1
    said = [record.getMessage() for record in caplog.records if record.name == position_events.__name__]
    assert said == [
        f"agent {outbox.agent_id}: missed events could not be read; retrying: no answer within 0.05 s"
    ]


def socket_of_a_stranger(agent_id: str) -> Outbox:
    """Return a stream of a user who may not watch the agent."""

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError("nothing is sent")

    return Outbox(
        send,
        lambda text: True,
        user_id="a stranger",
        agent_id=agent_id,
        index=TokenIndex[Outbox](),
        max_unsent=5,
        retry_after_seconds=2.0,
        on_gap=lambda outbox: None,
        on_lost=lambda outbox: None,
        on_new_token=lambda outbox, token: None,
        on_close=lambda outbox: None,
    )
