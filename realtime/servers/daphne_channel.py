"""daphne's HTTP connections, whose heads have a time to arrive, and an answer where they are too large.

Twisted drops a line of more than 16 KiB without an answer, and gives a connection a minute from each byte that arrives,
so that one which sends a byte now and then stays forever. Behind the answer to the last request it gives a client that
does not read a minute, too; here it is as long as some of the answer is read.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any

from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.error import ConnectionAborted
from twisted.internet.tcp import Connection, Port
from twisted.python.failure import Failure
from twisted.web import http

from realtime.servers import descriptors
from realtime.servers.door import may_enter
from realtime.servers.heads import TOO_LARGE, heads, too_late

_HTTPChannel: Any = http.HTTPChannel  # without types


class BoundedChannel(_HTTPChannel):  # type: ignore[misc]
    _is_lost = False

    def connectionMade(self) -> None:  # noqa: N802
        super().connectionMade()
        if not descriptors.admits(self.transport.fileno()):
            self.transport.write(descriptors.NO_ROOM)
            descriptors.discard_input(self.transport.fileno())
            self.loseConnection()
        self._wait()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Parse what has arrived; a handshake, once it may enter (door.py)."""
        if self.requests or may_enter(data, partial(self._enter, data)):
            super().dataReceived(data)
            return
        heads.stop(self)
        self.transport.pauseProducing()

    def _enter(self, data: bytes) -> None:
        if self._is_lost:
            return
        self.transport.resumeProducing()
        self._wait()  # where the rest of the head is still to come
        super().dataReceived(data)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        self._is_lost = True
        heads.stop(self)
        super().connectionLost(reason)

    def allHeadersReceived(self) -> None:  # noqa: N802
        heads.stop(self)
        super().allHeadersReceived()

    def requestDone(self, request: Any) -> None:  # noqa: N802
        """Called after an answer. The next request may be here already."""
        self._wait()
        super().requestDone(request)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        self.transport.write(TOO_LARGE)
        self.loseConnection()

    def _wait(self, unread_before: int = 0) -> None:
        heads.wait(self, partial(self._give_up, unread_before), self._drop)

    def _drop(self) -> bool:
        # What abortConnection does a turn of the event loop later: until then, Twisted accepts more.
        self.transport.stopReading()
        self.transport.stopWriting()
        self.transport.connectionLost(Failure(ConnectionAborted()))
        return True

    def _give_up(self, unread_before: int) -> None:
        unread = _unread_bytes(self.transport)
        if unread and unread != unread_before:
            self._wait(unread)
        elif unread or self.transport.disconnecting:
            self.transport.abortConnection()
        else:
            if self.requests or self._buffer:
                self.transport.write(too_late())
            self.loseConnection()


_do_read = Port.doRead


def _accept_a_few(self: Any) -> None:
    """Accept some of the connections that wait, as many as there is room for in a turn of the event loop."""
    self.numberAccepts = min(self.numberAccepts, descriptors.accept_at_once(self.fileno()))
    _do_read(self)  # type: ignore[no-untyped-call]


def handed_down(reactor: Any, descriptor: int) -> AdoptedStreamServerEndpoint:
    """Return the endpoint of a socket that listens, of IPv4 or IPv6; daphne takes each for one of IPv4."""
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        return AdoptedStreamServerEndpoint(reactor, descriptor, listener.family)


def install() -> None:
    Port.doRead = _accept_a_few  # type: ignore[method-assign]


def _unread_bytes(transport: Any) -> int:
    """Return how many bytes Twisted buffers; 0 over TLS."""
    is_plain = isinstance(transport, Connection)
    return len(transport.dataBuffer) - transport.offset + transport._tempDataLen if is_plain else 0
