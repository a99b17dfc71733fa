from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from positions import valkey
from positions.conf import conf
from positions.prices.lease import LEASE_KEY, FeedLease
from tests.live import PATIENCE_SECONDS

# A lease asks the database once a minute which installation this is.
pytestmark = pytest.mark.django_db(transaction=True)


async def soon(awaitable: Awaitable[object]) -> None:
    await asyncio.wait_for(awaitable, PATIENCE_SECONDS)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something of which the server sends no notice."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Holder:
    """A process that runs the feed while it has the lease: what it says, and whether it works."""

    def __init__(self, lease_seconds: float) -> None:
        self.said: list[str] = []
        self.stands_by = asyncio.Event()
        self.works = asyncio.Event()
        self.finish = asyncio.Event()
        self.lease = FeedLease(lease_seconds=lease_seconds)
        self.task = asyncio.create_task(self.lease.run_while_held(self.work, on_standby=self.on_standby))

    async def work(self) -> None:
        self.works.set()
        try:
            await self.finish.wait()
        finally:
            self.works.clear()

    def on_standby(self, sentence: str) -> None:
        self.said.append(sentence)
        self.stands_by.set()


@pytest.fixture
async def holder():
    made: list[Holder] = []

    def make(lease_seconds: float = 3600) -> Holder:
        made.append(Holder(lease_seconds))
        return made[-1]

    yield make
    for one in made:
        one.task.cancel()
    await asyncio.gather(*(one.task for one in made), return_exceptions=True)


async def test_second_holder_stands_by_saying_who_works(holder):
    first = holder()
    await soon(first.works.wait())
    second = holder()
    await soon(second.stands_by.wait())
    [sentence] = second.said
    assert sentence.startswith(f"Prices are being broadcast already, by process {os.getpid()} on ")
    assert sentence.endswith(". Standing by.")
    assert first.works.is_set()
    assert not second.works.is_set()


async def test_second_holder_takes_over_when_the_first_ends(holder):
    first = holder()
    await soon(first.works.wait())
    second = holder(lease_seconds=0.5)  # looks ten times a second lease
    await soon(second.stands_by.wait())
    first.finish.set()
    await soon(first.task)
    await soon(second.works.wait())
    assert len(second.said) == 1


async def test_second_holder_takes_over_when_the_first_is_cancelled(holder):
    first = holder()
    await soon(first.works.wait())
    second = holder(lease_seconds=0.5)
    await soon(second.stands_by.wait())
    first.task.cancel()
    await soon(second.works.wait())


async def test_second_holder_takes_over_when_the_first_was_killed(holder):
    """A killed holder renews nothing: its lease runs out."""
    valkey.client().set(LEASE_KEY, "there:1:abc", px=300)
    second = holder(lease_seconds=0.5)
    await soon(second.works.wait())


async def test_holder_renews_its_lease(holder):
    first = holder(lease_seconds=0.6)
    await soon(first.works.wait())
    valkey.client().pexpire(LEASE_KEY, 60_000)
    await until(lambda: int(valkey.client().pttl(LEASE_KEY)) <= 600)
    assert first.works.is_set()


async def test_holder_whose_lease_another_has_stops_and_stands_by(holder):
    first = holder(lease_seconds=0.3)
    await soon(first.works.wait())
    valkey.client().set(LEASE_KEY, "there:1:abc")
    await soon(first.stands_by.wait())
    assert first.said == ["Prices are being broadcast already, by process 1 on there. Standing by."]
    assert not first.works.is_set()
    valkey.client().delete(LEASE_KEY)
    await soon(first.works.wait())


async def test_holder_whose_lease_was_lost_with_the_servers_data_takes_it_again(holder):
    first = holder(lease_seconds=0.3)
    await soon(first.works.wait())
    valkey.client().flushdb()
    await until(lambda: valkey.client().exists(LEASE_KEY))
    assert first.works.is_set()


async def test_holder_leaves_anothers_lease_alone(holder):
    first = holder()
    await soon(first.works.wait())
    valkey.client().set(LEASE_KEY, "there:1:abc")
    first.finish.set()
    await soon(first.task)
    assert valkey.client().get(LEASE_KEY) == b"there:1:abc"


async def test_holder_ends_with_its_works_error(holder):
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await FeedLease().run_while_held(fail, on_standby=lambda _: None)
    assert not valkey.client().exists(LEASE_KEY)


async def test_server_away_is_reported_and_waited_for(holder, settings):
    url = conf.REDIS_URL
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": "unix:///nowhere/valkey.sock"}
    waiting = holder(lease_seconds=0.3)
    await soon(waiting.stands_by.wait())
    assert waiting.said[0].startswith("Redis or Valkey cannot be reached: ")
    assert waiting.said[0].endswith("No such file or directory. Waiting for it.")
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": url}
    await valkey.close_async_client()
    await soon(waiting.works.wait())
