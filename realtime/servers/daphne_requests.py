"""daphne's requests, whose bodies are bounded while they arrive (realtime/servers/bodies.py).

daphne, and Twisted below it, hand a request on when its body is complete, and so after all of it is in memory or in a
file. A body that is refused here is discarded, and its request is handed on at once, without a body: the application
finds the reason in its scope and answers.
"""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

from daphne import http_protocol

from realtime.conf import conf
from realtime.servers import bodies, targets
from realtime.servers.heads import LONGEST_LINE_BYTES, MALFORMED, MOST_HEADERS, TARGET_TOO_LONG, TOO_LARGE

_CONTROL = re.compile(rb"[\x00-\x20\x7f]")


class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]
    refused_body: bodies.Refusal | None = None
    _limit = 0
    _bytes = 0
    _is_complete = False
    content: io.IOBase
    _late: asyncio.TimerHandle | None = None

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Called after the headers. `length`: None if the body comes in chunks."""
        self._limit = bodies.limit_of(targets.plain(self.channel._path).decode("latin-1"))
        if length is not None and length > self._limit:
            super().gotLength(0)
            self._refuse(bodies.too_large(self._limit))
            return
        super().gotLength(length)
        if length != 0:
            loop = asyncio.get_running_loop()
            self._late = loop.call_later(conf.BODY_SECONDS, lambda: self._refuse(bodies.too_slow()))

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        if self.refused_body is not None:
            return
        self._bytes += len(data)
        if self._bytes > self._limit:
            self._refuse(bodies.too_large(self._limit))
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """Called when the body is complete."""
        self._is_complete = True
        self._forget_deadline()
        if self.refused_body is None:
            self._hand_on(command, path, version)

    def finish(self) -> None:
        """Called after the answer. The connection is closed then, unless what still arrives has to be discarded."""
        if self.refused_body is None or self._is_complete:
            super().finish()
            return
        loop = asyncio.get_running_loop()
        loop.call_later(bodies.DRAIN_SECONDS, lambda: self.channel and super(BoundedRequest, self).finish())

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        self._forget_deadline()
        super().connectionLost(reason)

    def _forget_deadline(self) -> None:
        if self._late is not None:
            self._late.cancel()

    def _refuse(self, refusal: bodies.Refusal) -> None:
        self._forget_deadline()
        self.refused_body = refusal
        self.content.close()
        self.content = io.BytesIO()
        self.requestHeaders.removeHeader(b"expect")  # or it would be told to go on
        channel = self.channel
        channel.persistent = False
        self._hand_on(channel._command, channel._path, channel._version)

    def _hand_on(self, command: bytes, path: bytes, version: bytes) -> None:
        # Twisted takes control characters, which no client may send, and daphne logs both as they are.
        command, path = (
            _CONTROL.sub(lambda found: b"%%%02X" % found[0][0], text) for text in (command, path)
        )
        path = targets.plain(path)
        refusal = self._refused_handshake(len(command) + len(path) + len(version))
        if refusal is None:
            super().requestReceived(command, path, version)
            if self.transport is None and self.channel:  # it is a socket now, and neither is used any more
                self.channel.requests.clear()  # who refer to each other: left to the garbage collector otherwise
        else:
            self.channel.transport.write(refusal)
            self.channel.loseConnection()

    def _refused_handshake(self, first_line_bytes: int) -> bytes | None:
        """Return the answer to a socket's handshake that is not one under uvicorn either; else None."""
        if self.requestHeaders.getRawHeaders(b"upgrade", [b""])[0].lower() != b"websocket":
            return None
        length = self.requestHeaders.getRawHeaders(b"content-length", [b"0"])
        if set(length) != {b"0"} or self.requestHeaders.hasHeader(b"transfer-encoding"):
            return MALFORMED
        lines = [
            len(name) + len(value)
            for name, values in self.requestHeaders.getAllRawHeaders()
            for value in values
        ]
        rest = 4  # two spaces, or a colon and a space; and the end of the line
        if first_line_bytes + rest > LONGEST_LINE_BYTES:
            return TARGET_TOO_LONG
        return TOO_LARGE if len(lines) > MOST_HEADERS or max(lines) + rest > LONGEST_LINE_BYTES else None
