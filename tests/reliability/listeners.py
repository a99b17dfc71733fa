"""Many cheap sockets beside the watchers: each checks the order of what it gets, at some 5 µs a message.

They read frames from the bytes as they come, and of an event its number and its position. Watchers (watcher.py) look at
everything; of an agent all must get the same events.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import struct
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
EVENT = re.compile(
    rb'\{"type":"position_update","data":\{"eventType":"position_\w+","seq":(\d+),"timestamp":"[^"]+",'
    rb'"position(?:Id":|":\{"id":)"([0-9a-f-]+)"'
)
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.2, 2.0


class Listener:
    """One agent's further socket. `positions`: of which position each event is, shared by all sockets of the agent."""

    def __init__(
        self, agent_id: str, access: str, servers: Callable[[], list[str]], positions: dict[int, bytes]
    ) -> None:
        self.agent_id = agent_id
        self.positions = positions
        self.connected = False
        self.first_seq: int | None = None
        self.seq = 0
        self.delivered = 0
        self.resumes = 0
        self.fresh_snapshots = 0
        self.duplicated = 0
        self.reordered = 0
        self.lost = 0
        self.may_start_over = False
        """Whether a snapshot may be older than what was delivered: commits were lost."""
        self.violations: list[str] = []
        self.closes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._access, self._servers = access, servers
        self._epoch = ""
        self._retry_after: float | None = None

    async def run(self) -> None:
        """Listen until cancelled."""
        delay = FIRST_DELAY_SECONDS
        while True:
            self._retry_after = None
            await self._once()
            delay = FIRST_DELAY_SECONDS if self.connected else min(2 * delay, LONGEST_DELAY_SECONDS)
            self.connected = False
            await asyncio.sleep(self._retry_after or delay * random.uniform(0.5, 1.5))  # noqa: S311

    async def _once(self) -> None:
        query = {"token": self._access, "agentId": self.agent_id, "mode": "watch"}
        if self.first_seq is not None:
            query |= {"lastSeq": str(self.seq), "epoch": self._epoch}
        address = urlsplit(random.choice(self._servers()))  # noqa: S311
        loop = asyncio.get_running_loop()
        try:
            transport, frames = await loop.create_connection(
                lambda: Frames(self, f"{address.path}?{urlencode(query)}"), "127.0.0.1", address.port or 80
            )
        except OSError as error:
            self.refusals[type(error).__name__] += 1
            return
        try:
            how = await frames.ended
        finally:
            transport.abort()
        (self.closes if self.connected else self.refusals)[how] += 1

    def text(self, data: bytes, start: int, end: int) -> bytes | None:
        """Take a message; return what is to be answered, if anything."""
        event = EVENT.match(data, start, end)
        if event is not None:
            self._event(int(event[1]), event[2])
            return None
        message = json.loads(data[start:end])
        match message["type"]:
            case "ping":
                return b'{"type":"pong"}'
            case "connected":
                self._epoch = message["data"]["epoch"]
            case "initial_data":
                self._snapshot(message["data"]["seq"])
            case "subscribed" if message["data"]["recovered"]:
                self.resumes += 1
                self.connected = True
            case "closing":
                self._retry_after = message["data"]["retryAfter"] / 1000
            case "position_update":
                self.violations.append(f"an event that cannot be read: {data[start : start + 200]!r}")
        return None

    def _event(self, seq: int, position: bytes) -> None:
        self.delivered += 1
        if seq != self.seq + 1:
            if seq > self.seq:
                self.lost += seq - self.seq - 1
            else:
                self.duplicated += seq == self.seq
                self.reordered += seq != self.seq
            self.violations.append(f"event {seq} came right after event {self.seq}")
        if self.positions.setdefault(seq, position) != position:
            self.violations.append(f"event {seq} is of another position here than elsewhere")
        self.seq = max(seq, self.seq)

    def _snapshot(self, seq: int) -> None:
        self.connected = True
        if self.first_seq is not None:
            self.fresh_snapshots += 1
        if self.first_seq is None or self.may_start_over:
            self.first_seq = seq
            if self.may_start_over:
                self.positions.clear()
        elif seq < self.seq:
            self.violations.append(f"a snapshot of event {seq} after event {self.seq}")
        self.seq = seq


class Frames(asyncio.Protocol):
    """A WebSocket client without extensions."""

    def __init__(self, listener: Listener, target: str) -> None:
        self._listener, self._target = listener, target
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._rest = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._end("cut off")

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        if not self._is_open:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = data
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._end(f"server rejected WebSocket connection: {head[:30].decode()}")
                return
            self._is_open, data, end = True, rest, len(rest)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if start + size > end or start > end:
                break
            self._frame(data[at] & 0x0F, data, start, start + size)
            at = start + size
        self._rest = data[at:]

    def _frame(self, opcode: int, data: bytes, start: int, end: int) -> None:
        if opcode == TEXT:
            if answer := self._listener.text(data, start, end):
                self._send(TEXT, answer)
        elif opcode == PING:
            self._send(PONG, data[start:end])
        elif opcode == CLOSE:
            (code,) = struct.unpack("!H", data[start : start + 2])
            self._send(CLOSE, data[start : start + 2])
            self._end(f"{code} {data[start + 2 : end].decode()}")

    def _send(self, opcode: int, payload: bytes) -> None:
        self._transport.write(struct.pack("!BB", 0x80 | opcode, 0x80 | len(payload)) + bytes(4) + payload)

    def _end(self, how: str) -> None:
        if not self.ended.done():
            self.ended.set_result(how)
