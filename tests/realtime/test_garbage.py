"""The garbage collector looks at few objects in a turn of the event loop, and at all of them when few wait for it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from positions.models import Agent
from realtime.hub.garbage import LAST
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


LOOKS = """
import asyncio
import gc
import weakref
import nexgent
from realtime.hub import garbage

class Cycle:
    def __init__(self):
        self.itself = self

open_sockets, is_crowded, rounds = 0, False, []

async def send(number):
    rounds.append(number)

after_round = garbage.Garbage(lambda: is_crowded, lambda: open_sockets, due=3 * garbage.SOME).after(send)

def age(steps=garbage.SOME):
    for _ in range(steps):
        gc.collect(1)

def look():
    age()
    asyncio.run(after_round(len(rounds)))

def found_after(prepare):
    cycle = Cycle()
    found = weakref.ref(cycle)
    gc.collect(1)  # it is old now
    prepare()
    del cycle
    look()
    return found() is None

def make():
    return [[] for _ in range(garbage.MANY)]

def looks_until_found(came):
    many = make()
    cycle = Cycle()
    found = weakref.ref(cycle)
    came()
    del cycle
    looks = 1
    while found() is not None:
        look()
        looks += 1
    return looks

def all_objects():
    global open_sockets
    before, open_sockets = open_sockets, garbage.FEW
    looks_until_found(look)
    open_sockets = before

def crowd(steps):
    garbage.crowd_begins()
    age(steps)
    garbage.crowd_ends()

age()
gc.set_threshold(100_000_000)
"""


def test_while_a_million_objects_are_made_few_are_looked_at_at_a_time():
    assert _printed(STORM) == "True True\n"


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


@pytest.mark.parametrize(
    ("prepare", "is_found"),
    [
        pytest.param("", "True", id="new"),
        pytest.param("is_crowded = True", "False", id="new_in_a_crowd"),
        pytest.param("prepare = lambda: asyncio.run(after_round(0))", "True", id="no_look_is_due"),
        pytest.param("prepare = look", "True", id="looked_at_before_with_few_objects"),
        pytest.param("many = make()\nprepare = look", "False", id="looked_at_before_with_many"),
        pytest.param("prepare = lambda: crowd(garbage.CAME)", "False", id="came_with_many"),
        pytest.param("prepare = lambda: crowd(garbage.CAME - 1)", "True", id="came_with_few"),
    ],
)
def test_with_many_sockets_only_what_is_new_is_looked_at_after_a_round(prepare, is_found):
    program = f"""
open_sockets = garbage.FEW + 1
prepare = lambda: None
all_objects()
{prepare}
print(found_after(prepare))
"""
    assert _printed(LOOKS + program) == f"{is_found}\n"


@pytest.mark.parametrize("came", ["look", "lambda: crowd(garbage.SOME)"])
@pytest.mark.parametrize(("sockets", "steps"), [("FEW", 3), ("FEW + 1", 3 * LAST)])
def test_all_objects_are_looked_at_once_that_is_due_sooner_with_few_sockets(sockets, steps, came):
    program = f"""
all_objects()
open_sockets = garbage.{sockets}
print(looks_until_found({came}), rounds == list(range(len(rounds))))
"""
    assert _printed(LOOKS + program) == f"{steps} True\n"


def _printed(program: str) -> str:
    """Return what it printed, in a process of its own: what is put aside is put aside for all tests otherwise."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert done.stderr == ""
    return done.stdout


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
