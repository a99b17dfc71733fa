"""Invalid UTF-8 ends the connection, as RFC 6455 (8.1) requires, without a traceback: anybody can send it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from positions.models import Agent
from tests.live import Server, watching
from tests.reliability.test_fuzz_socket import frame_bytes

CONTINUATION, TEXT = 0, 1


def frame(opcode: int, payload: bytes, *, final: bool) -> bytes:
    return frame_bytes(final=final, reserved=0, opcode=opcode, masked=True, payload=payload)


@pytest.mark.parametrize(
    "frames",
    [
        [frame(TEXT, b"\xff", final=True)],
        [frame(TEXT, b"\xc3", final=False), frame(CONTINUATION, b"\x28", final=True)],
        [frame(TEXT, b"\xc3", final=False), frame(CONTINUATION, b"", final=True)],
    ],
    ids=["in one frame", "over two frames", "cut short"],
)
async def test_text_that_is_no_utf8_closes_with_1007_and_leaves_no_traceback(
    server: Server, alice: User, agent: Agent, frames: list[bytes]
):
    written = server.log.stat().st_size
    async with watching(server, alice, agent) as socket:
        socket.connection.transport.write(b"".join(frames))
        code, _, messages = await socket.closed()
    assert (code, messages) == (1007, [])
    assert "Traceback" not in server.log.read_bytes()[written:].decode()
