"""Handshakes that come at once wait for their turn, on both servers; nothing else waits for them."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from positions.models import Agent
from realtime.conf import conf
from realtime.hub.turns import MOST, turns
from realtime.servers.door import LONGEST_BYTES, may_enter
from tests.live import Server, StartServer, access_token
from tests.raw_http import Exchange, handshake, head

MANY = 150
CLOSE = bytes((0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8))
"""A client's close frame, with code 1000."""


@pytest.fixture(params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest, transactional_db, shared_server: StartServer) -> Server:
    """Of this test alone: strangers of its address have used up their connects. Some clients take their time."""
    return shared_server(request.param, NEXGENT_HEAD_SECONDS="3600")


async def test_only_handshakes_wait_and_each_begins_once_in_order():
    entered: list[int] = []

    def at_once(number: int, data: bytes = handshake("/ws")) -> bool:
        return may_enter(data, lambda: entered.append(number))

    assert [at_once(number) for number in range(MOST + 3)] == [*MOST * [True], False, False, False]
    assert at_once(-1, head("/health/live"))
    assert at_once(-1, handshake(f"/ws?token={LONGEST_BYTES * 'x'}"))  # too long to be kept for long
    while turns().is_crowded:  # noqa: ASYNC110  every turn of the loop brings it nearer
        await asyncio.sleep(0)
    assert entered == [MOST, MOST + 1, MOST + 2]


def test_handshakes_at_once_are_all_answered_in_whatever_pieces_they_come(server: Server, alice, agent):
    """Some come in halves, some clients leave at once, and a probe comes in between."""
    request = handshake(f"/ws?token={access_token(alice)}&agentId={agent.pk}&mode=watch")
    stranger = handshake(f"/ws?token=nonsense&agentId={agent.pk}")
    halves = [Exchange(server, request[:-40]) for _ in range(5)]
    whole = [Exchange(server, stranger) for _ in range(MANY)]
    for gone in [Exchange(server, stranger) for _ in range(10)]:
        gone.socket.close()
    with Exchange(server, head("/health/live", "Connection: close")) as probe:
        assert probe.status() == 200
    for half in halves:
        half.socket.sendall(request[-40:])
    for half in halves:
        assert b"initial_data" in half.until(b"initial_data")
    for exchange in whole:
        assert exchange.status() == 101
    for exchange in (*whole, *halves):
        exchange.socket.close()


def test_sockets_that_leave_at_once_are_all_ended_however_they_leave(server: Server, alice):
    """By a close, which is answered; by the end of their connection, as when a proxy stops; by a reset."""
    for leave in ("close", "end", "reset"):
        agent = Agent.objects.create(owner=alice, name=leave)
        request = handshake(f"/ws?token={access_token(alice)}&agentId={agent.pk}&mode=watch")
        leaving = [Exchange(server, request) for _ in range(conf.AGENT_WATCHERS)]
        for exchange in leaving:
            exchange.until(b"initial_data")
        for exchange in leaving:
            if leave == "close":
                exchange.socket.sendall(CLOSE)
            elif leave == "end":
                exchange.socket.shutdown(socket.SHUT_WR)
            else:
                exchange.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                exchange.socket.close()
        for exchange in leaving:
            if leave != "reset":
                assert (CLOSE[-2:] in exchange.rest()) is (leave == "close")
            exchange.socket.close()
        # Each had one of the agent's places, and all of them are free again.
        with Exchange(server, request) as next_one:
            assert b"initial_data" in next_one.until(b"initial_data")
