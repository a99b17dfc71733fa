"""ASGI applications as other projects mount this one, for the servers of tests."""

from __future__ import annotations

import gc
import json
from typing import Any

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from nexgent.asgi import application
from realtime.hub.hub import get_hub
from realtime.servers import shutdown
from realtime.socket import connection
from realtime.socket.routing import websocket_application

bare = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": websocket_application()})
"""Without GracefulShutdown."""


async def wrapped(scope: Any, receive: Any, send: Any) -> None:
    """Behind a wrapper around `send`, as error trackers and tracers have one."""

    async def traced_send(message: Any) -> None:
        await send(message)

    await application(scope, receive, traced_send)


async def without_subprotocols(scope: Any, receive: Any, send: Any) -> None:
    """As the release before compact prices: of subprotocols it accepts none."""
    await application({**scope, "subprotocols": []} if "subprotocols" in scope else scope, receive, send)


async def patient(scope: Any, receive: Any, send: Any) -> None:
    """Waits longer for clients, and for Valkey, when it ends: a slow machine is late with every answer."""
    connection.ANSWER_SECONDS = 8.0
    shutdown.LAST_SECONDS = shutdown.HUB_SECONDS = 30.0
    await application(scope, receive, send)


async def failing_at_close(scope: Any, receive: Any, send: Any) -> None:
    """With a bug in what is done last."""

    async def fail() -> None:
        raise RuntimeError("a bug at the end")

    if scope["type"] == "websocket":
        get_hub().close = fail  # type: ignore[method-assign]
    await application(scope, receive, send)


OF_SOCKETS = {"PositionConsumer", "Outbox", "WebSocketsSansIOProtocol", "WebSocketProtocol"}


async def without_garbage_collector(scope: Any, receive: Any, send: Any) -> None:
    """Says at /left which objects of sockets there are."""
    gc.disable()
    if scope["type"] != "http" or scope["path"] != "/left":
        await application(scope, receive, send)
        return
    names = [type(each).__name__ for each in gc.get_objects()]
    body = json.dumps(sorted(name for name in names if name in OF_SOCKETS)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
