"""daphne looks after its connections a few at a time, and misses none of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from daphne.server import Server

from realtime.servers import daphne_checks
from realtime.servers.daphne_checks import AT_ONCE

MANY = 3 * AT_ONCE + 1


class Connection:
    """Notes in which turn of the event loop it was looked at; `fails`: as with a defect of the server."""

    def __init__(self, *, fails: bool = False) -> None:
        self.turns: list[int] = []
        self._fails = fails

    def check_timeouts(self) -> None:
        self.turns.append(turn)
        if self._fails:
            raise RuntimeError("a defect")


turn = 0


@pytest.fixture
def server() -> Any:
    daphne_checks.install()
    return Server(None, endpoints=["tcp:0"])


async def until_looked_at(server: Any, done: Any) -> None:
    global turn
    while not done():
        turn += 1
        await asyncio.sleep(0)


async def test_few_sockets_are_pinged_in_one_turn_and_each_of_them_once(server):
    connections = [Connection() for _ in range(MANY)]
    server.connections = {each: {} for each in connections}
    server.timeout_checker()
    gone = connections.pop()
    del server.connections[gone]  # meanwhile
    await until_looked_at(server, lambda: all(each.turns for each in connections))
    per_turn = [each.turns[0] for each in connections]
    assert max(map(per_turn.count, per_turn)) <= AT_ONCE
    assert [len(each.turns) for each in connections] == [1] * len(connections)
    assert not gone.turns
    assert [*server.connections] == connections


async def test_connections_whose_applications_have_ended_are_forgotten_and_no_others(server):
    connections = [Connection() for _ in range(MANY)]
    server.connections = {
        each: {"disconnected": 1.0 if place % 2 else None} for place, each in enumerate(connections)
    }
    server.application_checker()
    staying = connections[::2]
    await until_looked_at(server, lambda: len(server.connections) == len(staying))
    assert [*server.connections] == staying


async def test_all_are_looked_at_again_also_after_a_failure(server, monkeypatch):
    planned: list[Any] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda seconds, *what: planned.append((seconds, what)))
    first, *others = [Connection(fails=not place) for place in range(MANY)]
    server.connections = {each: {} for each in (first, *others)}
    with pytest.raises(RuntimeError):
        server.timeout_checker()
    await until_looked_at(server, lambda: planned)
    assert all(len(each.turns) == 1 for each in others[AT_ONCE:])
    ((seconds, (look, *arguments)),) = planned
    assert seconds == 2.0
    with pytest.raises(RuntimeError):
        look(*arguments)
    await until_looked_at(server, lambda: len(planned) == 2)
    assert all(len(each.turns) == 2 for each in others[AT_ONCE:])
