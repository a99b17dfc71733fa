"""ASGI applications as other projects mount this one, for the servers of tests."""

from __future__ import annotations

from typing import Any

from channels.routing import ProtocolTypeRouter

from nexgent.asgi import application, http
from realtime.socket.routing import websocket_application

bare = ProtocolTypeRouter({"http": http, "websocket": websocket_application()})
"""Without GracefulShutdown."""


async def wrapped(scope: Any, receive: Any, send: Any) -> None:
    """Behind a wrapper around `send`, as error trackers and tracers have one."""

    async def traced_send(message: Any) -> None:
        await send(message)

    await application(scope, receive, traced_send)
