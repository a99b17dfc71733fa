"""Streams of large agents start in slices: everybody else is served in between, and nothing is lost meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest
from msgspec.structs import asdict

from positions.books.live import live
from positions.books.snapshots import snapshot
from realtime.hub.hub import Hub, close_hub, get_hub
from realtime.hub.token_index import SOCKETS_PER_TURN
from realtime.hub.turns import MOST, TURN_SECONDS, Turns, chunks
from realtime.protocol import messages
from realtime.protocol.messages import InitialData, InitialDataData, SentPosition
from realtime.protocol.price_envelopes import price_message
from realtime.socket.connection import Connection
from realtime.socket.stream_start import StreamStart
from testbed.processes import PATIENCE_SECONDS
from tests.conftest import BONK, quote
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.realtime.test_outbox import Connection as Client
from tests.realtime.test_outbox import stream
from tests.realtime.test_price_fan_out import House
from tests.reliability.fleet import addresses, change, fleet
from tests.waiting import eventually

POSITIONS = 12


async def test_others_run_between_two_slices_and_long_works_take_turns():
    turns, done = Turns(0), []

    def steps(name: str):
        for _ in range(3):
            done.append(name)
            yield

    async def other():
        for _ in range(6):
            done.append("other")
            await asyncio.sleep(0)

    await asyncio.gather(turns.run(steps("a")), turns.run(steps("b")), other())
    for name in ("a", "b"):
        assert done.count(name) == 3
        assert name + name not in "".join(done).replace("other", "-")  # nobody twice in a row
    assert done.index("other") < len(done) - 1 - done[::-1].index("a")


async def test_work_that_takes_less_than_a_slice_is_done_at_once():
    await asyncio.wait_for(Turns(60).run(range(1_000)), 60)
    started = asyncio.ensure_future(Turns(60).run(range(1_000)))
    await asyncio.sleep(0)
    assert started.done()


async def test_short_pieces_are_done_at_once_but_few_in_one_turn_in_order_and_whoever_is_gone_is_skipped():
    turns, done, turn = Turns(), [], 0

    async def piece(number: int) -> None:
        await turns.piece()
        done.append((number, turn))

    await asyncio.wait_for(piece(-1), PATIENCE_SECONDS)
    started = [asyncio.ensure_future(piece(number)) for number in range(3 * MOST)]
    await asyncio.sleep(0)
    started[MOST + 1].cancel()
    while not all(each.done() for each in started):
        turn += 1
        await asyncio.sleep(0)
    numbers = [number for number, _ in done]
    assert numbers == [-1, *(number for number in range(3 * MOST) if number != MOST + 1)]
    for number in range(turn + 1):
        assert sum(of == number for _, of in done) <= MOST + (number == 0)
    assert not turns.is_crowded


class Workload:
    """Newcomers, each with a greeting and a snapshot to be made, as pieces that take so long by this clock."""

    def __init__(self, piece_seconds: float) -> None:
        self.turns = Turns(clock=lambda: self.now)
        self.now = 0.0
        self.begun: list[int] = []
        self.started: list[int] = []
        self._piece_seconds = piece_seconds
        self._tasks: list[asyncio.Task[None]] = []

    def come(self, count: int) -> None:
        for number in range(count):
            if self.turns.arrive(partial(self._begin, number)):
                self._begin(number)

    def _begin(self, number: int) -> None:
        self.now += self._piece_seconds
        self.begun.append(number)
        self._tasks.append(asyncio.ensure_future(self._start(number)))

    async def _start(self, number: int) -> None:
        for _ in range(2):
            await self.turns.piece()
            self.now += self._piece_seconds
        self.started.append(number)


@pytest.mark.parametrize(("per_piece", "most"), [(0.1, MOST), (0.3, 4), (0.9, 2), (5.0, 1)])
async def test_a_turn_has_as_many_pieces_as_fit_into_its_time(per_piece: float, most: int):
    workload = Workload(per_piece * TURN_SECONDS)
    workload.come(300)
    for _ in range(20):  # in which it finds out how many there are
        await asyncio.sleep(0)
    before = workload.now
    for _ in range(40):
        await asyncio.sleep(0)
    per_turn = (workload.now - before) / (40 * per_piece * TURN_SECONDS)
    assert most / 2 <= round(per_turn) <= most
    while len(workload.started) < 300:  # noqa: ASYNC110  every turn of the loop brings it nearer
        await asyncio.sleep(0)


async def test_newcomers_begin_in_order_and_those_that_have_begun_go_first():
    workload = Workload(TURN_SECONDS)
    workload.come(100)
    unfinished = 0
    while len(workload.started) < 100:
        await asyncio.sleep(0)
        unfinished = max(unfinished, len(workload.begun) - len(workload.started))
    assert workload.begun == workload.started == [*range(100)]
    assert unfinished <= 2 * MOST


async def test_those_that_leave_go_before_those_that_come_and_few_in_one_turn():
    turns, done, turn = Turns(), [], 0

    def end(who: str) -> None:
        done.append((who, turn))

    for _ in range(3 * MOST):
        if turns.arrive(partial(end, "comes")):
            end("comes")
    for _ in range(3 * MOST):
        turns.depart(partial(end, "leaves"))
    while turns.is_crowded:
        turn += 1
        await asyncio.sleep(0)
    assert [who for who, _ in done] == [*MOST * ["comes"], *3 * MOST * ["leaves"], *2 * MOST * ["comes"]]
    assert all(sum(of == number for _, of in done) <= MOST for number in range(turn + 1))


async def test_prices_reach_the_open_sockets_while_newcomers_wait_the_oldest_first():
    workload = Workload(0.3 * TURN_SECONDS)
    house = House(*3 * SOCKETS_PER_TURN * [[BONK]])
    order: list[int] = []

    def take(number: int, text: str | bytes) -> bool:
        order.append(number)
        return True

    for number, outbox in enumerate(house.outboxes):
        outbox._write_now = partial(take, number)
    workload.come(500)
    while len(workload.started) < 10:  # noqa: ASYNC110
        await asyncio.sleep(0)
    begun = len(workload.begun)
    await house.batch(quote(BONK, "0.002"))
    assert order == [*range(3 * SOCKETS_PER_TURN)]
    assert len(workload.begun) - begun <= 3 * MOST  # it took three turns
    while len(workload.started) < 500:  # noqa: ASYNC110
        await asyncio.sleep(0)


def test_chunks_have_everything_once():
    assert [*chunks("abcde", 2)] == [["a", "b"], ["c", "d"], ["e"]]
    assert [*chunks("", 2)] == []


@pytest.mark.parametrize("count", [0, 1, 3])
def test_snapshot_from_encoded_positions_is_that_of_the_type(position, count):
    data = live(snapshot(position), quote(position.token_address, "0.5", "100"), sol_usd=None)
    sent = SentPosition(**asdict(data))
    whole = messages.encode(InitialData(InitialDataData([sent] * count, "2026-01-31T12:00:00.000Z", 7)))
    parts = [msgspec.json.encode(data)] * count
    assert messages.initial_data(parts, "2026-01-31T12:00:00.000Z", 7) == whole.encode()


# A stream's start, with something done between two of its slices


class Interrupted(Turns):
    """Every step is a slice; does something after so many of them."""

    def __init__(self, after: int, action: Callable[[], Awaitable[None]]) -> None:
        super().__init__(0)
        self.left, self.action = after, action

    async def next(self) -> None:
        self.left -= 1
        if self.left == 0:
            await self.action()
        await super().next()


@pytest.fixture
async def hub(transactional_db) -> AsyncIterator[Hub]:
    yield get_hub()
    await close_hub()


def start_of(hub: Hub, user: Any, agent: Any):
    """Return the start of a stream, its outbox and the client."""
    client = Client()
    outbox = stream(client, index=hub.index, max_unsent=100)
    outbox.user_id, outbox.agent_id = user.pk, str(agent.pk)
    return StreamStart(hub, outbox, Connection({}, client.send, client.send)), outbox, client  # type: ignore[arg-type]


def received(client: Client) -> list[tuple[str, dict[str, Any]]]:
    parsed = [json.loads(text) for text in client.texts]
    return [(message["type"], message["data"]) for message in parsed]


@pytest.mark.parametrize("last_seq", [None, 2])
async def test_price_and_event_between_two_slices_follow_what_was_built(hub, alice, last_seq):
    tokens = addresses(POSITIONS)
    (agent,) = await fleet(alice, size=1, tokens=tokens)
    start, outbox, client = start_of(hub, alice, agent)
    await hub.fan_out.batch(price_message(quote(token, "1", "100") for token in tokens))

    async def interrupt() -> None:
        await hub.fan_out.batch(price_message(quote(token, "2", "200") for token in tokens[:3]))
        await change(agent)
        await eventually(lambda: _true(outbox._early), "the event has come")

    hub.turns = Interrupted(after=POSITIONS - 2, action=interrupt)
    await start.connect(last_seq)
    kinds = received(client)
    if last_seq is None:
        assert kinds[0][0] == "initial_data"
        assert [len(kinds[0][1]["positions"]), kinds[0][1]["seq"]] == [POSITIONS, POSITIONS]
    else:
        assert kinds[0][0] == "subscribed"
    seqs = [data["seq"] for kind, data in kinds if kind == "position_update"]
    assert seqs == list(range((last_seq or POSITIONS) + 1, POSITIONS + 2))
    newest = {
        update["tokenAddress"]: Decimal(str(update["price"]))
        for kind, data in kinds
        if kind == "price_update_batch"
        for update in data["updates"]
    }
    assert {token: newest[token] for token in tokens[:3]} == dict.fromkeys(tokens[:3], Decimal(2))
    await hub.fan_out.batch(price_message([quote(tokens[-1], "3", "300")]))
    assert received(client)[-1][1]["updates"][0]["price"] == 3  # every token is in the index
    outbox.abandon()
    hub.leave(outbox)
    assert hub.index.tokens() == []


async def _true(value: object) -> bool:
    return bool(value)


async def test_stream_that_ends_while_it_is_built_leaves_nothing_behind(hub, alice):
    (agent,) = await fleet(alice, size=1, tokens=addresses(POSITIONS))
    start, outbox, client = start_of(hub, alice, agent)

    async def leave() -> None:
        outbox.abandon()
        hub.leave(outbox)

    hub.turns = Interrupted(after=3, action=leave)
    await start.connect(None)
    assert client.texts == []
    assert hub.index.tokens() == []
    assert not hub.sockets


async def test_others_are_served_while_a_large_agent_connects(hub, alice, bob):
    (large,) = await fleet(alice, size=1, tokens=addresses(POSITIONS))
    (small,) = await fleet(bob, size=1, tokens=addresses(POSITIONS))
    slow, slow_outbox, slow_client = start_of(hub, alice, large)
    quick, quick_outbox, quick_client = start_of(hub, bob, small)

    async def connect() -> None:
        hub.turns = Turns()
        await quick.connect(None)
        assert [kind for kind, _ in received(quick_client)] == ["initial_data"]
        assert slow_client.texts == []

    hub.turns = Interrupted(after=2, action=connect)
    await slow.connect(None)
    assert [kind for kind, _ in received(slow_client)] == ["initial_data"]
    for outbox in (slow_outbox, quick_outbox):
        outbox.abandon()
        hub.leave(outbox)
