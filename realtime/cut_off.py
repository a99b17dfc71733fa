"""What ASGI has no message for: ending a connection whose client does not read, so not even its close."""

from __future__ import annotations

from functools import partial
from typing import Any


def cut_off(send: Any) -> None:
    """Drop the connection behind a server's `send`, and what waits in its buffer, at once.

    Knows daphne's (a partial with the protocol) and uvicorn's (a method of the protocol); of other servers, the
    connection lasts until the system gives it up.
    """
    protocol = send.args[0] if isinstance(send, partial) else getattr(send, "__self__", None)
    transport = getattr(protocol, "transport", None)
    abort = getattr(transport, "abortConnection", None) or getattr(transport, "abort", None)
    if abort is not None:
        abort()
