"""Frames that are written past a transport of asyncio, which must keep their order and notice their failures."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import weakref
from collections.abc import AsyncIterator

import pytest

from realtime.servers.frame_writer import AskingFrameWriter, FrameWriter, ToldFrameWriter, frame_writer
from realtime.servers.transports import let_go

FRAME_BYTES = 10_000


def frame(number: int) -> bytes:
    return bytes((number,)) * FRAME_BYTES


class Server(asyncio.Protocol):
    """As uvicorn's: `writable` follows the transport's buffer, and stays set once the connection is lost."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.lost = asyncio.Event()
        self.writer: FrameWriter | None = None

    def pause_writing(self) -> None:
        self.writable.clear()
        if self.writer is not None:
            self.writer.pause()

    def resume_writing(self) -> None:
        self.writable.set()
        if self.writer is not None:
            self.writer.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.writer is not None:
            self.writer.stop()
        self.writable.set()
        self.lost.set()


class Line:
    """A server's end, its writer, and the client's end, which does not read by itself."""

    def __init__(self, server: Server, transport: asyncio.Transport, client: socket.socket) -> None:
        self.server, self.transport, self.client = server, transport, client
        self.use(frame_writer(transport, server.writable))

    def use(self, writer: FrameWriter) -> None:
        self.writer = self.server.writer = writer

    def fill(self) -> int:
        """Write until the server takes no more; return how many frames it took."""
        count = 0
        while self.writer.write(frame(count)):
            count += 1
        return count

    async def read(self, size: int) -> bytes:
        loop, received = asyncio.get_running_loop(), b""
        while len(received) < size:
            received += await loop.sock_recv(self.client, size - len(received))
        return received


@pytest.fixture(params=[ToldFrameWriter, AskingFrameWriter, FrameWriter], ids=["told", "asking", "transport"])
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    client, accepted = socket.socketpair()
    for end in (client, accepted):
        end.setblocking(False)  # noqa: FBT003  it has no name
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    transport, server = await asyncio.get_running_loop().connect_accepted_socket(Server, accepted)
    line = Line(server, transport, client)
    assert isinstance(line.writer, ToldFrameWriter)
    if request.param is not ToldFrameWriter:
        transport.set_write_buffer_limits()
    if request.param is AskingFrameWriter:  # as with uvloop
        line.use(AskingFrameWriter(transport, server.writable, accepted.fileno()))
    elif request.param is FrameWriter:  # as over TLS
        line.use(FrameWriter(transport, server.writable))
    yield line
    client.close()
    transport.abort()
    await server.lost.wait()


async def test_frame_to_a_client_that_reads_is_sent_before_the_write_returns(line: Line):
    assert line.writer.write(b"frame")
    assert line.client.recv(100) == b"frame"


async def test_what_the_kernel_does_not_take_waits_in_the_transport_and_keeps_its_order(line: Line):
    count = line.fill()
    assert line.transport.get_write_buffer_size() > 0
    assert await line.read(count * FRAME_BYTES) == b"".join(map(frame, range(count)))
    await line.server.writable.wait()
    assert line.writer.write(b"next")
    assert await line.read(4) == b"next"


async def test_frame_never_overtakes_what_waits_in_the_transport(line: Line):
    while not line.transport.get_write_buffer_size():
        line.transport.write(frame(1))
    waiting = line.transport.get_write_buffer_size()
    line.client.recv(FRAME_BYTES)  # the kernel has room again, and the transport does not know it yet
    if isinstance(line.writer, ToldFrameWriter):
        assert not line.writer.write(b"last")
        assert line.transport.get_write_buffer_size() == waiting
        line.transport.write(b"last")
    else:
        assert line.writer.write(b"last")
        assert line.transport.get_write_buffer_size() == waiting + 4
    received = b""
    while not received.endswith(b"last"):
        received += await line.read(1)
    assert set(received[:-4]) == {1}


async def test_nothing_is_written_after_a_stop_or_a_close(line: Line):
    line.transport.close()
    if not isinstance(line.writer, ToldFrameWriter):  # else the close frame stops it: test_connection.py
        assert not line.writer.write(b"frame")
    line.writer.stop()
    assert line.writer.write(b"frame")  # and drops it
    assert await asyncio.get_running_loop().sock_recv(line.client, 100) == b""


async def test_nothing_is_written_after_a_stop_of_an_open_connection(line: Line):
    line.writer.stop()
    assert line.writer.write(b"frame")
    line.transport.close()
    assert await asyncio.get_running_loop().sock_recv(line.client, 100) == b""


async def test_frame_stays_unsent_after_a_stop_when_the_transport_is_empty_again(line: Line):
    count = line.fill()
    line.writer.stop()
    assert await line.read(count * FRAME_BYTES) == b"".join(map(frame, range(count)))
    await line.server.writable.wait()
    assert line.writer.write(b"frame")
    line.transport.close()
    assert await asyncio.get_running_loop().sock_recv(line.client, 100) == b""


async def test_frame_of_a_lost_connection_never_reaches_the_next_one_of_the_same_descriptor(line: Line):
    number = line.transport.get_extra_info("socket").fileno()
    line.transport.abort()
    await line.server.lost.wait()
    await asyncio.sleep(0)
    ends = socket.socketpair()
    with ends[0], ends[1]:
        assert number in {end.fileno() for end in ends}  # the kernel gives the lowest one that is free
        assert line.writer.write(b"frame")
        for end in ends:
            end.setblocking(False)  # noqa: FBT003  it has no name
            with pytest.raises(BlockingIOError):
                end.recv(100)


async def test_connection_that_is_lost_is_noticed_by_its_transport():
    """Of a client that resets it: the server is told as for any other write, and no write raises."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.closing(socket.socket()) as client:
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        accepted.setblocking(False)  # noqa: FBT003  it has no name
        transport, server = await loop.connect_accepted_socket(Server, accepted)
        transport.pause_reading()
        line = Line(server, transport, client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        while not server.lost.is_set():
            line.writer.write(frame(1))
            await asyncio.sleep(0)  # the transport notices in its own turn


async def test_transport_of_a_lost_connection_leaves_nothing_to_the_garbage_collector():
    loop = asyncio.get_running_loop()
    client, accepted = socket.socketpair()
    accepted.setblocking(False)  # noqa: FBT003  it has no name
    transport, server = await loop.connect_accepted_socket(Server, accepted)
    client.close()
    await server.lost.wait()
    let_go(transport)
    gone = weakref.ref(transport)
    gc.disable()
    try:
        del transport
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()
