"""What servers raise from an application's `send` when the client is gone. Anything else that they raise is a bug.

ASGI asks for an OSError (specification 2.4, "Send"). Checked against daphne 4.2.3 with autobahn 26.10 and uvicorn 0.54.
"""

from __future__ import annotations

import sys

# uvicorn, all its WebSocket protocols: the server itself has closed the connection, because no pong came or after a
# frame that breaks RFC 6455. It raises a bare RuntimeError.
_CLOSED_BY_UVICORN = "after sending 'websocket.close'"


def is_disconnect(error: BaseException) -> bool:
    """Return whether this exception of a server means that the client is gone. Imports no server."""
    if isinstance(error, OSError):  # uvicorn's ClientDisconnected is one
        return True
    autobahn = sys.modules.get("autobahn.exception")  # daphne's; where it is not loaded, it raised nothing
    if autobahn is not None and isinstance(error, autobahn.Disconnected):
        return True
    return isinstance(error, RuntimeError) and _CLOSED_BY_UVICORN in str(error)
