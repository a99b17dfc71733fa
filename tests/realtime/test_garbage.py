"""The garbage collector looks at few objects in a turn of the event loop, and at all of them when few wait for it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from positions.models import Agent
from realtime.hub.garbage import Garbage
from realtime.hub.turns import MOST, Turns
from tests.live import PATIENCE_SECONDS, ROOT, Server, access_token, client, http, watching

STORM = """
import gc
import nexgent
looked_at = []
def look(phase, info):
    if phase == "start":
        looked_at.append(sum(len(gc.get_objects(each)) for each in range(info["generation"] + 1)))
gc.collect()
gc.callbacks.append(look)
objects = [[] for _ in range(1_200_000)]
print(len(looked_at) > 100, max(looked_at) <= 12_000)
"""


SOCKETS = 20


class Cycle:
    def __init__(self) -> None:
        self.itself = self


@contextmanager
def long_ago() -> Iterator[weakref.ref[Cycle]]:
    """Let a full collection be due, and no other one come meanwhile; yield a reference to what it will find."""
    before = gc.get_threshold()
    gc.set_threshold(100_000_000)
    gc.collect()
    cycle = Cycle()
    gc.collect(1)  # it is old now: no other collection looks at it again
    found = weakref.ref(cycle)
    del cycle
    try:
        yield found
    finally:
        gc.set_threshold(*before)


def test_while_a_million_objects_are_made_few_are_looked_at_at_a_time():
    # In a process of its own, which has no other objects.
    done = subprocess.run(
        [sys.executable, "-c", STORM],
        env=os.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert (done.stdout, done.stderr) == ("True True\n", "")


@contextmanager
def collections() -> Iterator[list[int]]:
    """Yield among how many objects each collection from here on looks for garbage."""
    looked_at: list[int] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            looked_at.append(sum(len(gc.get_objects(each)) for each in range(info["generation"] + 1)))

    gc.collect()
    gc.callbacks.append(look)
    try:
        yield looked_at
    finally:
        gc.callbacks.remove(look)


async def test_while_sockets_start_fewer_are_looked_at_and_afterwards_as_many_as_before():
    turns, usual = Turns(), gc.get_threshold()
    with collections() as looked_at:
        waiting = [asyncio.ensure_future(turns.piece()) for _ in range(2 * MOST)]
        await asyncio.sleep(0)  # they ask
        assert turns.is_crowded
        objects: list[list[int]] = [[] for _ in range(100_000)]
        assert len(looked_at) > len(objects) / 2_000
        assert max(looked_at) < 6_000
        await asyncio.gather(*waiting)
    while gc.get_threshold() != usual:  # noqa: ASYNC110  every turn of the loop brings it nearer
        await asyncio.sleep(0)


async def test_all_objects_are_looked_at_after_a_round_once_due_and_not_in_a_crowd():
    is_crowded, sent = True, []

    async def send(*messages: str) -> None:
        sent.append(messages)

    with long_ago() as cycle:
        rare = Garbage(lambda: False, due=gc.get_count()[2] + 1).after(send)
        due = Garbage(lambda: is_crowded, due=gc.get_count()[2]).after(send)
        await rare("first")
        await due("second", "third")
        assert cycle() is not None
        is_crowded = False
        await due("fourth")
        assert cycle() is None
    assert sent == [("first",), ("second", "third"), ("fourth",)]


async def _taken_over(server: Server, alice: User, agent: Agent) -> None:
    async with watching(server, alice, agent) as first, watching(server, alice, agent):
        await first.expect("closing")  # the second owns the agent now


async def _cut_off(server: Server, alice: User, agent: Agent) -> None:
    query = {"token": access_token(alice), "agentId": str(agent.pk), "lastSeq": "0"}
    async with client(server, query=query) as resumed:
        await resumed.expect("connected")
        resumed.connection.transport.abort()


async def _refused(server: Server, alice: User, agent: Agent) -> None:
    async with client(server, token="not a token", agent=agent) as refused:
        await refused.closed()


@pytest.mark.parametrize("leave", [_taken_over, _cut_off, _refused])
@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_socket_that_is_gone_leaves_nothing_to_the_garbage_collector(
    kind, leave, transactional_db, tmp_path, alice, agent, wallet
):
    """Of 20,000 that did, it found all at once, and for three seconds no price was sent."""
    application = "tests.realtime.applications:without_garbage_collector"
    with Server(kind, log=tmp_path / "log", application=application) as server:
        await leave(server, alice, agent)  # which loads what is loaded once
        await sync_to_async(http.get)(f"{server.url}/before")
        for _ in range(SOCKETS):
            await leave(server, alice, agent)
        left = await sync_to_async(http.get)(f"{server.url}/left?more={SOCKETS}")
        assert left.json() == {}
