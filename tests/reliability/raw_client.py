"""A slow WebSocket client: reads only on request, with almost no buffer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from tests.live import PATIENCE_SECONDS, Server
from tests.waiting import eventually

# The smallest that Linux allows is 2304; it doubles what is asked for.
RECEIVE_BUFFER_BYTES = 4096
TCP = Path("/proc/net/tcp")
TEXT, CLOSE, PING = 0x1, 0x8, 0x9


class Frame(NamedTuple):
    opcode: int
    payload: bytes

    @property
    def close(self) -> tuple[int, str]:
        """The code and the reason of a close frame."""
        return struct.unpack("!H", self.payload[:2])[0], self.payload[2:].decode()


class Gone(Exception):
    """The server has ended the connection, in order or with a reset."""


class RawClient:
    """One connection. Nothing is read from it, or answered, unless a method here is called."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._bytes = b""
        self._sending: set[asyncio.Future[None]] = set()

    @classmethod
    async def connect(cls, server: Server, token: str, agent: Any, **query: object) -> Self:
        connection = socket.socket()
        connection.setblocking(False)  # noqa: FBT003  it has no name
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self = cls(connection)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", server.port))
        names = {"token": token, "agentId": str(agent.pk), **query}
        key = base64.b64encode(os.urandom(16)).decode()
        await loop.sock_sendall(
            connection,
            f"GET /ws?{urlencode(names)} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode(),
        )
        while b"\r\n\r\n" not in self._bytes:
            await self._read()
        head, _, self._bytes = self._bytes.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return self

    async def _read(self) -> None:
        try:
            data = await asyncio.wait_for(
                asyncio.get_running_loop().sock_recv(self._socket, 65536), PATIENCE_SECONDS
            )
        except ConnectionError:
            raise Gone from None
        if not data:
            raise Gone
        self._bytes += data

    async def taken(self) -> None:
        """Wait until the server's process has read all that was sent: nothing of it lies in the kernel any more."""
        ends = self._socket.getsockname(), self._socket.getpeername()
        client, server = (f":{port:04X}" for _, port in ends)

        async def is_taken() -> bool:
            """/proc/net/tcp has a row for each end: its own address, the other's, and the bytes to send and to read."""
            rows = [line.split() for line in (await asyncio.to_thread(TCP.read_text)).splitlines()[1:]]
            queues = {(row[1][-5:], row[2][-5:]): row[4].split(":") for row in rows}
            unsent, unread = queues[client, server][0], queues[server, client][1]
            return int(unsent, 16) == int(unread, 16) == 0

        await eventually(is_taken, "the server read everything")

    async def something(self) -> None:
        """Read until the next frame has begun to arrive. Raises Gone."""
        while not self._bytes:
            await self._read()

    async def frame(self) -> Frame:
        """Return the next frame. Raises Gone."""
        while True:
            head = 2
            if len(self._bytes) >= head:
                size = self._bytes[1]
                if size == 126:
                    head, size = 4, int.from_bytes(self._bytes[2:4]) if len(self._bytes) >= 4 else 0
                elif size == 127:
                    head, size = 10, int.from_bytes(self._bytes[2:10]) if len(self._bytes) >= 10 else 0
                if len(self._bytes) >= head + size and len(self._bytes) >= head:
                    frame = Frame(self._bytes[0] & 0x0F, self._bytes[head : head + size])
                    self._bytes = self._bytes[head + size :]
                    return frame
            await self._read()

    async def message(self) -> dict[str, Any]:
        """Return the next message, skipping the server's own pings."""
        while True:
            frame = await self.frame()
            assert frame.opcode in {TEXT, PING}, frame
            if frame.opcode == TEXT:
                message: dict[str, Any] = json.loads(frame.payload)
                return message

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            message = await self.message()
            if message["type"] == kind:
                return message

    async def rest(self) -> tuple[list[dict[str, Any]], tuple[int, str] | None]:
        """Read all that is left; answer a close frame and return it, with the messages before it."""
        messages, close = [], None
        try:
            while True:
                frame = await self.frame()
                if frame.opcode == TEXT:
                    messages.append(json.loads(frame.payload))
                elif frame.opcode == CLOSE:
                    close = frame.close
                    # No frame goes into another; and of two senders asyncio wakes only the last.
                    if self._sending:
                        await asyncio.wait(self._sending)
                    with contextlib.suppress(ConnectionError):
                        await self.send(CLOSE, frame.payload)
        except Gone:
            return messages, close
        finally:
            await self._close()

    async def send(self, opcode: int, payload: bytes = b"") -> None:
        """Send a frame, whole, masked with zeros. Raises ConnectionError where the server does not take all of it."""
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        data = head + bytes(4) + payload
        sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(self._socket, data))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        await asyncio.wait_for(sending, PATIENCE_SECONDS)

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are. Raises ConnectionError where the server does not take all of them."""
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self._socket, data), PATIENCE_SECONDS)

    async def _close(self) -> None:
        """Close the connection, also under a `send` that is still at it: closing alone would never wake it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._sending:
            await asyncio.wait(self._sending)
        self._socket.close()

    def abandon(self) -> None:
        """Close the connection without a close frame."""
        self._socket.close()
