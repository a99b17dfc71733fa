"""Where sockets wait for their turn, when many come or leave at once: handshakes, and the ends of those that are gone.

A server parses a handshake, checks its token and answers it as soon as it has read it. Five hundred that arrive in the
same turn of the event loop would make this turn last a third of a second, and nobody gets a price meanwhile. So what
was read of a handshake waits here, unparsed, and further reading with it, until `hub.turns` has room. Other requests
pass: a probe must not wait until a storm is over.

Those that leave at once (a proxy was restarted) are all heard in one turn. To end one of them costs several times as
much as to hear it, so that is what waits; until then nothing more is sent to it.
"""

from __future__ import annotations

from collections.abc import Callable

from realtime.hub.turns import turns

LONGEST_BYTES = 4096
"""Of a handshake that waits: all that wait are in memory. A longer one is parsed at once."""


def may_enter(data: bytes, begin: Callable[[], None]) -> bool:
    """Return whether what has been read of a request may be parsed now. Otherwise `begin` is called when it may."""
    is_handshake = len(data) <= LONGEST_BYTES and b"websocket" in data.lower()
    return not is_handshake or turns().arrive(begin)


def leave(end: Callable[[], object]) -> None:
    """End a socket that its client has left: now, or when it may."""
    turns().depart(end)
