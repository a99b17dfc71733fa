"""The sockets that several server processes listen on: opened here and handed down, all with the same address.

Each process has its own, and the kernel spreads connections over them (SO_REUSEPORT). `up` holds them as well, so that
a process and the one that replaces it listen on the same one, and no connection that waits to be accepted is lost.
Elsewhere than on Linux, SO_REUSEPORT spreads nothing: there, all processes have one in common.
"""

from __future__ import annotations

import socket
import sys

BACKLOG = 2048
"""Connections that wait to be accepted, as many as where a server opens the socket itself."""


class Listener:
    """A socket that listens, while it is open."""

    def __init__(self, family: socket.AddressFamily, address: tuple[object, ...]) -> None:
        self._family = family
        self._address = address
        self._socket: socket.socket | None = None

    def open(self) -> int:
        """Listen, unless that is so already; return the descriptor. Raises OSError."""
        if self._socket is None:
            listening = socket.socket(self._family, socket.SOCK_STREAM)
            try:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                # Connections inherit it. uvicorn takes a socket handed down for a Unix one, and would not set it.
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                listening.settimeout(0)
                listening.bind(self._address)
                listening.listen(BACKLOG)
            except OSError:
                listening.close()
                raise
            self._socket = listening
        return self._socket.fileno()

    def close(self) -> None:
        """Let go of the socket. If no process has it either, those who wait are refused, and others take the next."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def listeners(host: str, port: int, count: int) -> list[Listener]:
    """Return one for each of so many processes, open. Raises OSError."""
    first = _first(host, port)
    if sys.platform != "linux":
        return [first] * count
    made = [first, *(Listener(first._family, first._address) for _ in range(count - 1))]
    for listener in made:
        listener.open()
    return made


def _first(host: str, port: int) -> Listener:
    """Open one at the first address of the host that this machine has: `localhost` is ::1 too, even without IPv6."""
    *others, last = (
        Listener(family, address)
        for family, _, _, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    )
    for listener in others:
        try:
            listener.open()
        except OSError:
            continue
        return listener
    last.open()
    return last
