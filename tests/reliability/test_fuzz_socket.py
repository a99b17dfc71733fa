"""The socket against anything that a client, or something that is not one, may send to real server processes.

After every example a bystander on the same server must get the next event of its own agent and nothing else; after
every test the server's log must contain no traceback, and nothing of the test may be left in Valkey. A failure prints
the example and the line that repeats it. NEXGENT_FUZZ_EXAMPLES says how many examples a test tries.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from positions import valkey
from positions.models import Agent, Wallet
from positions.services import move_stop_loss, open_position
from realtime.hub.ownership import owner_key
from realtime.protocol.messages import CloseReason, ErrorCode
from tests.conftest import fresh_token, person
from tests.live import PATIENCE_SECONDS, Client, Server, access_token, client, http, refresh_token, watching

EXAMPLES = int(os.environ.get("NEXGENT_FUZZ_EXAMPLES", "12"))
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

DOCUMENTED = {(close.value.code, close.value.reason) for close in CloseReason}
# What RFC 6455, section 7.4.1, gives for a peer that breaks its rules: the servers' own, below the application.
BROKEN_FRAMES = {1002, 1007, 1009}
# As many frames and sockets as a test likes.
LIMITS = {
    "NEXGENT_INBOUND_MESSAGES_PER_SECOND": "1000000",
    "NEXGENT_INBOUND_BURST": "1000000",
    "NEXGENT_CONNECTS_PER_SECOND": "1000000",
    "NEXGENT_CONNECT_BURST": "1000000",
    "NEXGENT_CLOSE_SECONDS": "1",
    "NEXGENT_PING_INTERVAL_SECONDS": "1800",
}
MAX_MESSAGE_BYTES = 16_384


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def fuzzed(request: pytest.FixtureRequest, django_db_setup, tmp_path_factory) -> Iterator[Server]:
    with Server(request.param, log=tmp_path_factory.mktemp("fuzzed") / "log", port=0, **LIMITS) as server:
        yield server


class Belongings(NamedTuple):
    agents: dict[str, str]
    """Ids, by what they are to Alice."""
    tokens: dict[str, str]
    """By what they are to a server that asks for Alice's access token."""


class World:
    """Who fuzzes, and who must not notice."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.runner = asyncio.Runner()
        self.alice, bob, witness = person("alice"), person("bob"), person("witness")
        agents = {
            "own": Agent.objects.create(owner=self.alice, name="own"),
            "other": Agent.objects.create(owner=self.alice, name="other"),
            "foreign": Agent.objects.create(owner=bob, name="foreign"),
            "witness": Agent.objects.create(owner=witness, name="witness"),
        }
        self.position = _hold(agents["witness"])
        _hold(agents["own"])
        self.belongings = Belongings(
            {name: str(agent.pk) for name, agent in agents.items()}, _tokens(self.alice, bob)
        )
        self.seq = 1
        self._bystander: AbstractAsyncContextManager[Client] = watching(server, witness, agents["witness"])
        self.bystander: Client = self.runner.run(self._bystander.__aenter__())

    def run(self, example: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Run the example; then the bystander gets the next event, and has got nothing before it."""
        self.runner.run(example(self, *arguments))
        self.seq += 1
        move_stop_loss(position_id=self.position.pk, percentage=Decimal(self.seq % 50))
        self.runner.run(self._next_event())

    async def _next_event(self) -> None:
        message = await self.bystander.receive()
        while message["type"] == "ping":
            message = await self.bystander.receive()
        assert (message["type"], message["data"]["seq"]) == ("position_update", self.seq)

    def end(self) -> None:
        """Close the bystander's socket; nothing of anybody's may be left."""
        self.runner.run(self._bystander.__aexit__(None, None, None))
        self.runner.close()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.05)  # between two checks of a condition
        assert not left

    def _left(self) -> list[str]:
        ids = self.belongings.agents.values()
        channels = [str(name) for name in valkey.client().pubsub_channels("*agent.*")]
        left = [name for name in channels if any(agent_id in name for agent_id in ids)]
        left += [f"claim of {agent_id}" for agent_id in ids if valkey.client().exists(owner_key(agent_id))]
        health = http.get(f"{self.server.url}/health").json()
        return left if health == {"status": "healthy", "connectionCount": 0} else [*left, str(health)]

    def open(self, **options: Any) -> AbstractAsyncContextManager[Client]:
        agent, token = self.belongings.agents["own"], self.belongings.tokens["good"]
        return client(self.server, token=token, agent=agent, **options)


def _hold(agent: Agent) -> Any:
    wallet = Wallet.objects.create(agent=agent, address=fresh_token())
    return open_position(
        wallet=wallet,
        token_address=fresh_token(),
        token_symbol="NEW",
        tokens=Decimal(1000),
        spent_sol=Decimal(1),
    )


def _tokens(alice: Any, bob: Any) -> dict[str, str]:
    nested = base64.urlsafe_b64encode(b"[" * 6000).decode().rstrip("=")
    return {
        "good": access_token(alice),
        "bob's": access_token(bob),
        "expired": access_token(alice, exp=1),
        "endless": access_token(alice, exp=2**62),
        "refresh": refresh_token(alice),
        "nobody's": access_token(alice, user_id=2**70),
        "a list's": access_token(alice, user_id=[1]),
        "a text's": access_token(alice, user_id="\0"),
        "without an owner": access_token(alice, user_id=None),
        "nested": f"{nested}.e30.x",
        "empty": "",
        "cut": access_token(alice)[:-3],
    }


@pytest.fixture
def world(transactional_db, fuzzed: Server) -> Iterator[World]:
    written = fuzzed.log.stat().st_size
    world = World(fuzzed)
    yield world
    world.end()
    log = fuzzed.log.read_bytes()[written:].decode()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
    assert "Unhandled" not in log, log


# What is sent


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
agent_name = st.sampled_from(["own", "other", "foreign", "unknown"])
last_seq = st.integers() | st.integers(0, 3) | json_value
texts = st.text() | st.sampled_from(
    [
        "[" * 6000,
        '{"a":' * 2000,
        "9" * 5000,
        '"\\ud800"',
        '{"type":"\\ud800"}',
        '{"type":"\\u0000"}',
        "",
        "\0",
    ]
)


class Subscribe(NamedTuple):
    """`subscribe`, with names for ids, which differ from test to test."""

    agent: Any
    fields: dict[str, Any]
    nested: bool

    def text(self, belongings: Belongings) -> str:
        agent = belongings.agents.get(self.agent, self.agent) if isinstance(self.agent, str) else self.agent
        data = {"agentId": str(uuid.UUID(int=1)) if agent == "unknown" else agent, **self.fields}
        return json.dumps({"type": "subscribe", **({"data": data} if self.nested else data)})


class Refresh(NamedTuple):
    token: Any

    def text(self, belongings: Belongings) -> str:
        token = belongings.tokens.get(self.token, self.token) if isinstance(self.token, str) else self.token
        return json.dumps({"type": "refresh", "data": {"token": token}})


token_name = st.sampled_from(
    sorted(["good", "bob's", "expired", "endless", "refresh", "nobody's", "a list's", "cut"])
)
requests = st.one_of(
    st.just('{"type":"ping"}'),
    st.just('{"type":"pong"}'),
    st.builds(
        Subscribe,
        agent_name | json_value,
        st.fixed_dictionaries({}, optional={"lastSeq": last_seq}),
        st.booleans(),
    ),
    st.builds(Refresh, token_name | json_value),
)
jsons = st.one_of(
    json_value,
    st.builds(
        lambda kind, rest: {**rest, "type": kind},
        st.sampled_from(["ping", "pong", "subscribe", "refresh", "connected", ""]) | json_value,
        st.dictionaries(st.sampled_from(["data", "agentId", "lastSeq", "token", "timestamp"]), json_value),
    ),
).map(json.dumps)
big = st.integers(MAX_MESSAGE_BYTES - 2, MAX_MESSAGE_BYTES + 2) | st.just(200_000)
frames = st.one_of(
    requests,
    jsons,
    texts,
    st.binary(),
    big.map(lambda size: "é" * (size // 2)),
    big.map(bytes),
    st.lists(st.text(max_size=5), min_size=1, max_size=5),  # one message in fragments
    st.lists(st.binary(max_size=5), min_size=1, max_size=5),
)


def encoded(frame: Any, belongings: Belongings) -> Any:
    """Return what the client library sends; what is no Unicode, JSON's lone surrogates, as its escapes."""
    return frame.text(belongings) if isinstance(frame, Subscribe | Refresh) else frame


async def answers(socket_: Client, frame: Any) -> list[str] | None:
    """Send the frame and a ping; return the types of what came before the pong, or None where the socket closed."""
    try:
        await socket_.connection.send(frame)
        await socket_.send(type="ping")
        types: list[str] = []
        pongs = 1 + _is_ping(frame)
        while pongs:
            message = await socket_.receive()
            if message["type"] == "error":
                assert message["data"]["code"] in {code.value for code in ErrorCode}
            types.append(message["type"])
            # Python's json takes some pings for JSON that are none: NaN, lone surrogates. An error answers these.
            pongs -= message["type"] == "pong" or (_is_ping(frame) and message["type"] == "error")
    except ConnectionClosed:
        close = (socket_.connection.close_code, socket_.connection.close_reason)
        assert close in DOCUMENTED
        return None
    return types[:-1]


def _type(frame: Any) -> Any:
    text = "".join(frame) if isinstance(frame, list) and isinstance(frame[0], str) else frame
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return value.get("type") if isinstance(value, dict) else None


def _is_ping(frame: Any) -> bool:
    return bool(_type(frame) == "ping")


async def _exchange(world: World, sequence: list[Any]) -> None:
    async with world.open() as socket_:
        await socket_.expect("connected")
        await socket_.expect("initial_data")
        for frame in sequence:
            sent = encoded(frame, world.belongings)
            types = await answers(socket_, sent)
            if types is None:
                return  # with a documented code and reason
            assert types or _type(sent) == "pong", "a frame was not answered"
            if not isinstance(frame, Subscribe | Refresh) and not _is_ping(sent):
                assert set(types) <= {"error"}, types


@pytest.mark.parametrize("kind", ["requests", "frames"])
def test_socket_sent_anything_answers_every_frame_or_closes_as_documented(world: World, kind: str):
    @bounded
    @given(st.lists({"requests": requests, "frames": frames}[kind], max_size=8))
    def fuzz(sequence: list[Any]) -> None:
        world.run(_exchange, sequence)

    fuzz()


# Coming


class Parameter(NamedTuple):
    name: str
    value: Any
    """A name of a belonging, or the bytes to send for it."""
    escape: Callable[[bytes], str]

    def text(self, belongings: Belongings) -> str:
        known = {**belongings.tokens, **belongings.agents}
        value = known[self.value].encode() if isinstance(self.value, str) else self.value
        return f"{self.name}={self.escape(value)}"


def _bare(value: bytes) -> str:
    """Return the bytes without escapes where a request line can hold them so: "%zz", "&", "=" and ";" too."""
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte != ord("#") else f"%{byte:02x}" for byte in value
    )


def parameter(name: str, known: st.SearchStrategy[str | bytes]) -> Any:
    value = st.one_of(known, st.binary(max_size=40), st.text(max_size=40).map(str.encode))
    return st.builds(Parameter, st.just(name), value, st.sampled_from([quote_from_bytes, _bare]))


numbers = st.integers().map(lambda number: str(number).encode())
# A longer line of the head, over 8 KiB, is answered with 414: tests/realtime/test_heads.py.
HUGE_BYTES = 6_000
huge = st.builds(
    lambda name, sign: f"{name}={sign}",
    st.sampled_from(["token", "agentId", "lastSeq", "x"]),
    st.sampled_from(["x", "9", ".", "%", "&", "="]),
)
queries = st.tuples(
    st.lists(parameter("token", st.just("good") | token_name), min_size=1, max_size=2),
    st.lists(
        parameter("agentId", st.sampled_from(["own", "own", "other", "foreign"])), min_size=1, max_size=2
    ),
    st.lists(parameter("lastSeq", numbers | st.just(b"0")), max_size=2),
    st.lists(st.binary(max_size=10).map(_bare), max_size=30),
    st.none() | huge,
)


async def _come(
    world: World, query: tuple[list[Parameter], list[Parameter], list[Parameter], list[str], str | None]
) -> None:
    tokens, agents, seqs, rest, stretched = query
    if stretched is not None:
        rest = [stretched + stretched[-1] * HUGE_BYTES]
    parts = [*rest, *(each.text(world.belongings) for each in (*tokens, *agents, *seqs))]
    async with connect(
        f"{world.server.ws_url}?{'&'.join(parts)}", open_timeout=PATIENCE_SECONDS
    ) as connection:
        await _served_or_refused(Client(connection))


async def _served_or_refused(socket_: Client) -> None:
    first = (await socket_.receive())["type"]
    if first == "connected":
        kinds = {"error": 0}
        while not kinds.keys() & {"initial_data", "subscribed"}:
            kinds[(await socket_.receive())["type"]] = 1
        assert await answers(socket_, '{"type":"pong"}') is not None
    else:
        code, reason, messages = await socket_.closed()
        assert (first, [message["type"] for message in messages]) == ("error", ["closing"])
        assert (code, reason) in {(1008, "Authentication failed"), (1008, "Agent not found")}


def test_socket_asked_for_with_any_query_is_served_or_refused_as_documented(world: World):
    @bounded
    @given(queries)
    def fuzz(query: Any) -> None:
        world.run(_come, query)

    fuzz()


# Below the messages


def frame_bytes(final: bool, reserved: int, opcode: int, masked: bool, payload: bytes) -> bytes:
    """Return a frame of any kind, with a correct length (RFC 6455, section 5.2)."""
    head = bytes([final << 7 | reserved << 4 | opcode])
    size, mask = len(payload), masked << 7
    if size < 126:
        head += bytes([mask | size])
    elif size < 65_536:
        head += struct.pack("!BH", mask | 126, size)
    else:
        head += struct.pack("!BQ", mask | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


raw_frames = st.builds(
    frame_bytes,
    final=st.booleans() | st.just(True),  # noqa: FBT003
    reserved=st.just(0) | st.integers(0, 7),
    opcode=st.sampled_from([0, 1, 2, 8, 9, 10]) | st.integers(0, 15),
    masked=st.just(True) | st.booleans(),  # noqa: FBT003
    payload=st.binary() | st.binary(min_size=126, max_size=300) | st.text().map(str.encode),
)
PING = frame_bytes(final=True, reserved=0, opcode=1, masked=True, payload=b'{"type":"ping"}')


async def _send_raw(world: World, sequence: list[bytes]) -> None:
    async with world.open() as socket_:
        await socket_.expect("connected")
        await socket_.expect("initial_data")
        socket_.connection.transport.write(b"".join(sequence) + PING)
        try:
            await socket_.until("pong")
        except ConnectionClosed:
            close = (socket_.connection.close_code, socket_.connection.close_reason)
            by_client = any(raw[0] & 15 == 8 for raw in sequence)
            assert by_client or close[0] in BROKEN_FRAMES or close in DOCUMENTED, close
            assert close[0] != 1011


def test_socket_sent_any_frame_answers_or_closes_as_rfc_6455_says(world: World):
    @bounded
    @given(st.lists(raw_frames, min_size=1, max_size=4))
    def fuzz(sequence: list[bytes]) -> None:
        world.run(_send_raw, sequence)

    fuzz()


async def _control_frames(world: World, payloads: list[bytes]) -> None:
    async with world.open() as socket_:
        for payload in payloads:
            await asyncio.wait_for(await socket_.connection.ping(payload), PATIENCE_SECONDS)
        await socket_.send(type="ping")
        await socket_.until("pong")


def test_socket_answers_pings_of_the_protocol_with_their_payload(world: World):
    @bounded
    @given(st.lists(st.binary(max_size=125), max_size=10, unique=True))
    def fuzz(payloads: list[bytes]) -> None:
        world.run(_control_frames, payloads)

    fuzz()


# Below the protocol


HANDSHAKE = (
    "GET /ws?token={token}&agentId={agent} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
STAGES = ("connected", "half a handshake", "handshake", "accepted", "served", "half a frame")


def _raw(world: World, stage: str, garbage: bytes, *, reset: bool) -> None:
    """Come as far as `stage`, send the garbage, and leave: with a close, or with a reset."""
    belongings, port = world.belongings, world.server.port
    handshake = HANDSHAKE.format(
        token=belongings.tokens["good"], agent=belongings.agents["own"], port=port
    ).encode()
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as raw:
        if reset:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reached = STAGES.index(stage)
        if reached == 1:
            raw.sendall(handshake[: len(handshake) // 2])
        elif reached > 1:
            raw.sendall(handshake)
        if reached > 2:
            _read_until(raw, b"\r\n\r\n")
        if reached > 3:
            _read_until(raw, b"initial_data")
        if reached > 4:
            raw.sendall(PING[:-3])
        raw.sendall(garbage)


def _read_until(raw: socket.socket, end: bytes) -> None:
    read = b""
    while end not in read:
        received = raw.recv(65_536)
        assert received, read
        read += received


async def _come_raw(world: World, stage: str, garbage: bytes, reset: bool) -> None:
    await asyncio.to_thread(_raw, world, stage, garbage, reset=reset)
    # The next socket of this agent is served as if nothing had been. (Should the one that went away claim the agent
    # after it, then that one counts as the newer, and the next but one is served.)
    for _ in range(2):
        async with world.open() as socket_:
            try:
                await _served_or_refused(socket_)
                return
            except ConnectionClosed:
                assert socket_.connection.close_reason == CloseReason.REPLACED.value.reason
    raise AssertionError("the agent was taken twice by a client that had gone")


garbages = st.one_of(
    st.binary(),
    st.just(b""),
    raw_frames,
    st.binary().map(lambda line: b"GET /" + line + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    st.just(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),  # a TLS client on the wrong port
    st.just(b"x" * 70_000),
)


def test_server_survives_garbage_and_clients_that_go_at_any_stage(world: World):
    @bounded
    @given(st.sampled_from(STAGES), garbages, st.booleans())
    def fuzz(stage: str, garbage: bytes, reset: bool) -> None:
        world.run(_come_raw, stage, garbage, reset)

    fuzz()
