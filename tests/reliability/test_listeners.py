"""Tests the listeners of `make soak`: they read frames however these are cut, and detect what must not come."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import pytest

from realtime.protocol import messages
from realtime.protocol.messages import PositionUpdate, PositionUpdateData
from tests.reliability.listeners import Frames, Listener

POSITION = "0d8c9d1e-3c52-4c57-9f3a-5f7b6f1f2a33"


def event(seq: int, position: str = POSITION) -> bytes:
    """Return an event as a server writes it."""
    data = PositionUpdateData("position_closed", seq, "2026-11-26T12:00:00.000Z", position_id=position)
    return messages.encode(PositionUpdate(data)).encode()


def message(kind: str, **data: Any) -> bytes:
    return json.dumps({"type": kind, "data": data}).encode()


def frame(payload: bytes, opcode: int = 1) -> bytes:
    size = len(payload)
    return (
        bytes([0x80 | opcode])
        + (bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size))
        + payload
    )


def listener(*received: bytes, shared: dict[int, bytes] | None = None) -> Listener:
    found = Listener("agent", "token", list, {} if shared is None else shared)
    for each in received:
        found.text(each, 0, len(each))
    return found


def test_stream_in_order_is_counted_and_has_no_violation():
    found = listener(message("initial_data", seq=4), event(5), event(6))
    assert (found.delivered, found.seq, found.violations) == (2, 6, [])


@pytest.mark.parametrize(
    ("seqs", "account"),
    [([5, 7], (1, 0, 0)), ([5, 5], (0, 1, 0)), ([5, 6, 5], (0, 0, 1))],
    ids=["lost", "duplicated", "reordered"],
)
def test_what_is_out_of_order_is_a_violation(seqs, account):
    found = listener(message("initial_data", seq=4), *map(event, seqs))
    assert (found.lost, found.duplicated, found.reordered) == account
    assert len(found.violations) == 1


def test_event_of_another_position_than_elsewhere_and_an_older_snapshot_are_violations():
    shared: dict[int, bytes] = {}
    listener(message("initial_data", seq=4), event(5), shared=shared)
    other = listener(message("initial_data", seq=4), event(5, POSITION.replace("0", "9")), shared=shared)
    other.text(message("initial_data", seq=3), 0, len(message("initial_data", seq=3)))
    assert [text.partition(" is of")[0] for text in other.violations] == [
        "event 5",
        "a snapshot of event 3 after event 5",
    ]


async def test_frames_are_read_however_they_are_cut():
    found = Listener("agent", "token", list, {})
    frames = Frames(found, "/ws")
    stream = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(
        frame(each) for each in (message("initial_data", seq=0), *map(event, range(1, 40)))
    )
    for begin in range(0, len(stream), 7):
        frames.data_received(stream[begin : begin + 7])
    assert (found.delivered, found.seq, found.violations) == (39, 39, [])
    frames.connection_lost(None)
    assert await asyncio.wait_for(frames.ended, 1) == "cut off"
