"""What one user, and all users together, may have unsent in a process."""

from __future__ import annotations

import asyncio

import pytest

from realtime.hub.guard import Refused
from realtime.hub.shares import Shares
from realtime.protocol.messages import CloseReason
from tests.realtime.test_outbox import Connection, settled, stream

KIB = 1024
SNAPSHOT = '{"type":"initial_data"}'


@pytest.fixture(autouse=True)
def bounds(settings) -> None:
    of_bytes = {"MAX_USER_UNSENT_BYTES": 200 * KIB, "MAX_PROCESS_UNSENT_BYTES": 500 * KIB}
    settings.NEXGENT = {**settings.NEXGENT, **of_bytes}


def connected(shares: Shares, user_id: int, *, buffered_kib: int = 0):
    """Return the stream of a client that reads nothing, of which the server has buffered so much."""
    connection = Connection()
    connection.reading.clear()
    outbox = stream(connection, on_unsent=shares.note_unsent, buffered=lambda: buffered_kib * KIB)
    outbox.user_id = user_id
    shares.admit(outbox)
    if buffered_kib:
        shares.note_snapshot(outbox, buffered_kib * KIB)
    return outbox, connection


async def test_user_with_too_much_unsent_loses_the_stream_that_exceeds_it_and_nobody_else_does():
    shares = Shares()
    alices, bobs = [connected(shares, 1)[0] for _ in range(2)], connected(shares, 2)[0]
    for outbox in (*alices, bobs):
        outbox.write("x" * 95 * KIB)
    alices[0].write("x" * 5 * KIB)
    assert [outbox.closed for outbox in (*alices, bobs)] == [None] * 3
    alices[1].write("x" * 5 * KIB)
    assert [outbox.closed for outbox in (*alices, bobs)] == [None, CloseReason.TRY_LATER.value, None]


async def test_process_with_too_much_unsent_ends_the_largest_streams_until_the_others_have_room():
    shares = Shares()
    small, *large = [connected(shares, user)[0] for user in range(6)]
    for size, outbox in enumerate(large):
        outbox.write("x" * (90 + size) * KIB)
    small.write("x" * 60 * KIB)
    assert [outbox.closed for outbox in (small, *large)] == [None] * 5 + [CloseReason.TRY_LATER.value]
    small.write("x" * 10 * KIB)  # there is room, once the client that was closed is cut off
    assert [outbox.closed for outbox in (small, *large)] == [None] * 5 + [CloseReason.TRY_LATER.value]


async def test_snapshot_is_refused_to_a_user_whose_clients_do_not_read_and_to_nobody_else():
    shares = Shares()
    shares.check_room(1)
    outbox, _ = connected(shares, 1, buffered_kib=150)
    shares.check_room(1)
    outbox.write("x" * 100 * KIB)
    with pytest.raises(Refused) as refusal:
        shares.check_room(1)
    assert refusal.value.reason is CloseReason.TRY_LATER
    shares.check_room(2)
    outbox.abandon()
    await settled()
    shares.dismiss(outbox)
    shares.check_room(1)


async def test_snapshot_of_any_size_is_sent_to_a_client_that_reads():
    shares = Shares()
    outbox, connection = connected(shares, 1)
    shares.check_room(1)
    outbox.start([f'{{"type":"initial_data","data":"{"x" * 600 * KIB}"}}'], 0)
    assert outbox.closed is None
    connection.reading.set()
    await settled()
    assert [len(text) > 600 * KIB for text in connection.texts] == [True]


async def test_bytes_are_free_again_once_they_were_read():
    shares = Shares()
    outbox, connection = connected(shares, 1)
    for _ in range(5):
        outbox.write("x" * 30 * KIB)
    assert shares.unsent_bytes > 150 * KIB
    connection.reading.set()
    await settled()
    assert (shares.unsent_bytes, outbox.closed) == (0, None)


async def test_streams_of_one_user_are_read_a_few_at_a_time_and_those_of_others_are_not_held_up():
    shares, running, release = Shares(), [], asyncio.Event()

    async def start(user_id: int) -> None:
        async with shares.of(user_id).turn():
            running.append(user_id)
            await release.wait()

    starts = [asyncio.ensure_future(start(user_id)) for user_id in [1] * 10 + [2]]
    await settled()
    assert sorted(running) == [1, 1, 1, 1, 2]
    release.set()
    await asyncio.gather(*starts)
    assert sorted(running) == [1] * 10 + [2]
