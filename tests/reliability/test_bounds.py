"""Every limit of docs/settings.md that protects a process from overload, reached on a real server.

The inbound rate and the sockets of a process: tests/realtime/test_socket.py. Unsent messages: test_slow_clients.py.
"""

from __future__ import annotations

import asyncio
import contextlib

import psycopg
import pytest

from positions.models import PositionEvent
from tests.live import Server, access_token, client, database_url, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.fleet import addresses, change, fleet
from tests.reliability.raw_client import PING, TEXT, Gone, RawClient
from tests.reliability.test_fuzz_socket import frame_bytes

KIB = 1024
BAD_TOKEN = "nonsense"


# Sizes


@pytest.mark.parametrize("size", [16 * KIB + 1, 48 * KIB, 1_200 * KIB, 4_096 * KIB])
async def test_message_over_the_limit_is_refused_with_1009_however_long(server, alice, agent, size):
    socket = await RawClient.connect(server, access_token(alice), agent)
    await socket.until("initial_data")
    (messages, close), sent = await asyncio.gather(
        socket.rest(), socket.send(TEXT, b"x" * size), return_exceptions=True
    )
    assert sent is None or isinstance(sent, ConnectionError)  # uvicorn does not wait for all of it
    assert close == (1009, "Message too big")
    assert messages[-2:] == [
        {
            "type": "error",
            "data": {"code": "message_too_big", "message": "a message may have at most 16384 bytes"},
        },
        {
            "type": "closing",
            "data": {
                "code": 1009,
                "reason": "Message too big",
                "reconnect": True,
                "retryAfter": messages[-1]["data"]["retryAfter"],
            },
        },
    ]


async def test_message_in_many_fragments_is_counted_as_a_whole(server, alice, agent):
    async def fragments():
        for _ in range(40):
            yield "x" * KIB

    async with watching(server, alice, agent) as socket:
        sending = asyncio.ensure_future(socket.connection.send(fragments()))
        assert (await socket.closed())[:2] == (1009, "Message too big")
        await asyncio.wait([sending])
        sending.exception()


async def test_message_of_the_maximum_size_is_accepted(server, alice, agent):
    async with watching(server, alice, agent) as socket:
        await socket.connection.send('{"type":"ping"' + " " * (16 * KIB - 15) + "}")
        await socket.expect("pong")


async def test_snapshot_of_more_than_a_mebibyte_arrives(server, alice):
    (agent,) = await fleet(alice, size=1, tokens=addresses(1_200))
    async with client(server, token=access_token(alice), agent=agent, max_size=None) as socket:
        await socket.expect("connected")
        initial = await socket.expect("initial_data")
        size = len(socket.raw)
        await socket.send(type="ping")  # compressed, under uvicorn, where the snapshot is not
        await socket.expect("pong")
    assert size > 1024 * KIB
    assert len(initial["data"]["positions"]) == 1_200


# Frames that are no messages

CONTINUATION, PONG = 0x0, 0xA
FIRST = frame_bytes(final=False, reserved=0, opcode=TEXT, masked=True, payload=b"")


def many(opcode: int, payload: bytes = b"", *, count: int = 5_000) -> bytes:
    is_final = opcode != CONTINUATION
    return count * frame_bytes(final=is_final, reserved=0, opcode=opcode, masked=True, payload=payload)


FLOODS = {
    "pings": many(PING),
    "pongs": many(PONG, b"x"),
    "fragments without content": FIRST + many(CONTINUATION),
    "fragments of a byte": FIRST + many(CONTINUATION, b"x"),
    "messages": many(TEXT, b"{}"),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_frames_of_every_kind_count_as_messages(server, alice, agent, flood):
    socket = await RawClient.connect(server, access_token(alice), agent)
    await socket.until("initial_data")
    await socket.send_bytes(FLOODS[flood])
    messages, close = await socket.rest()
    assert close == (1008, "Rate limit exceeded")
    assert [message["type"] for message in messages[-2:]] == ["error", "closing"]
    assert messages[-2]["data"]["code"] == "rate_limited"


async def test_a_few_pings_and_a_message_in_fragments_are_answered(server, alice, agent):
    async with watching(server, alice, agent) as socket:
        for _ in range(5):
            await (await socket.connection.ping())
        text = '{"type": "ping"' + 200 * " " + "}"
        await socket.connection.send(iter([text[place : place + 4] for place in range(0, len(text), 4)]))
        await socket.expect("pong")


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_pongs_for_a_client_that_reads_nothing_do_not_queue(
    kind, transactional_db, shared_server, alice, agent
):
    """Eight megabytes of pings, at a rate that is allowed here: each pong would wait in memory."""
    server = shared_server(kind, NEXGENT_INBOUND_BURST="1000000")
    socket = await RawClient.connect(server, access_token(alice), agent)
    await socket.until("initial_data")
    await socket.send_bytes(many(PING, 125 * b"x", count=60_000))
    await socket.taken()
    await socket.send(TEXT, b'{"type": "ping"}')
    pongs = 0
    while b'"pong"' not in (frame := await socket.frame()).payload:  # a ping of the server's may come first
        pongs += frame.opcode == PONG
    assert frame.opcode == TEXT
    assert 0 < pongs < 30_000
    socket.abandon()


# Coming


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_connects_above_the_rate_are_refused_with_1013(kind, transactional_db, tmp_path, alice):
    agents = await fleet(alice, size=5, tokens=[])
    with Server(
        kind, log=tmp_path / "log", NEXGENT_CONNECT_BURST="3", NEXGENT_CONNECTS_PER_SECOND="0.001"
    ) as server:
        for agent in agents[:3]:
            async with watching(server, alice, agent):
                pass
        for agent in agents[3:]:
            async with client(server, token=access_token(alice), agent=agent) as socket:
                code, reason, messages = await socket.closed()
            assert (code, reason) == (1013, "Try again later")
            assert [message["type"] for message in messages] == ["error", "closing"]
            assert messages[0]["data"]["code"] == "try_again_later"
            assert messages[1]["data"]["reconnect"] is True
            assert messages[1]["data"]["retryAfter"] > 0
        server.stop()


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_strangers_have_bounds_of_their_own_and_take_no_connect_of_users(
    kind, transactional_db, shared_server, alice
):
    server = shared_server(
        kind,
        NEXGENT_BEHIND_PROXY="1",
        NEXGENT_CONNECT_BURST="2",
        NEXGENT_CONNECTS_PER_SECOND="0.001",
        NEXGENT_ADDRESS_CONNECT_BURST="2",
        NEXGENT_ADDRESS_CONNECTS_PER_SECOND="0.001",
        NEXGENT_STRANGER_CONNECT_BURST="5",
        NEXGENT_STRANGER_CONNECTS_PER_SECOND="0.001",
        NEXGENT_CLOSE_SECONDS="3600",
    )
    agents = await fleet(alice, size=2, tokens=[])

    async def come(address: str, *, token: str = BAD_TOKEN) -> tuple[int | None, str]:
        headers = {"X-Forwarded-For": f"6.6.6.6, {address}:4711"}
        async with client(server, token=token, agent=agents[0], additional_headers=headers) as socket:
            code, reason, messages = await socket.closed()
        assert [message["type"] for message in messages] == ["error", "closing"]
        return code, reason

    refused, later = (1008, "Authentication failed"), (1013, "Try again later")
    assert [await come("192.0.2.1") for _ in range(4)] == [refused, refused, later, later]
    assert [await come("192.0.2.2"), await come("192.0.2.2", token="")] == [refused, refused]
    assert [await come("192.0.2.3") for _ in range(2)] == [refused, later]  # those of all together
    # Who does not answer its close is cut off all the same, long before a client that was served.
    silent = await RawClient.connect(server, BAD_TOKEN, agents[0])
    with contextlib.suppress(Gone):
        while await silent.frame():
            pass
    silent.abandon()
    for agent in agents:
        async with watching(server, alice, agent):
            pass


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_burst_of_connects_queues_for_the_database(kind, transactional_db, tmp_path, alice):
    agents = await fleet(alice, size=30, tokens=addresses(5))
    separator = "&" if "?" in database_url() else "?"
    with Server(
        kind,
        log=tmp_path / "log",
        DATABASE_URL=f"{database_url()}{separator}application_name=storm",
        NEXGENT_DATABASE_THREADS="1",
    ) as server:
        counts: list[int] = []
        done = asyncio.Event()
        counting = asyncio.ensure_future(_count_connections("storm", counts, done))
        token = access_token(alice)

        async def come(agent) -> int:
            async with client(server, token=token, agent=agent) as socket:
                return len((await socket.until("initial_data"))["data"]["positions"])

        try:
            assert await asyncio.gather(*map(come, agents)) == [5] * 30
        finally:
            done.set()
            await counting
        server.stop()
    # The pool opens its next one while the first is still being made.
    assert 1 <= max(counts) <= 2


async def _count_connections(name: str, counts: list[int], done: asyncio.Event) -> None:
    async with await psycopg.AsyncConnection.connect(database_url(), autocommit=True) as connection:
        while not done.is_set() or not counts:
            rows = await connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]
            )
            row = await rows.fetchone()
            assert row is not None
            counts.append(row[0])
            await asyncio.sleep(0.01)  # the pool keeps what it has opened


# Coming back


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_resume_over_more_events_than_are_replayed_gets_a_snapshot(
    kind, transactional_db, tmp_path, alice
):
    (agent,) = await fleet(alice, size=1, tokens=addresses(1))
    for number in range(10):
        await change(agent, number)
    assert await PositionEvent.objects.filter(agent=agent).acount() == 11
    with Server(kind, log=tmp_path / "log", NEXGENT_MAX_REPLAYED_EVENTS="5") as server:
        query = {"token": access_token(alice), "agentId": str(agent.pk)}
        async with client(server, query={**query, "lastSeq": "6"}) as socket:
            subscribed = (await socket.until("subscribed"))["data"]
            assert (subscribed["recovered"], subscribed["seq"]) == (True, 11)
            assert [(await socket.expect("position_update"))["data"]["seq"] for _ in range(5)] == [
                7,
                8,
                9,
                10,
                11,
            ]
        async with client(server, query={**query, "lastSeq": "5"}) as socket:
            assert (await socket.until("subscribed"))["data"]["recovered"] is False
            assert (await socket.expect("initial_data"))["data"]["seq"] == 11
            await socket.send(type="subscribe", agentId=str(agent.pk), lastSeq=5)
            assert (await socket.until("subscribed"))["data"]["recovered"] is False
            assert (await socket.expect("initial_data"))["data"]["seq"] == 11
            await socket.send(type="subscribe", agentId=str(agent.pk), lastSeq=6)
            assert (await socket.until("subscribed"))["data"]["recovered"] is True
            assert (await socket.expect("position_update"))["data"]["seq"] == 7
        server.stop()
