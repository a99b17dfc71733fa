"""ASGI applications as other projects mount this one, for the servers of tests."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

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


SERVERS = ("realtime", "channels", "daphne", "twisted", "autobahn", "uvicorn", "websockets")
_before: Counter[str] = Counter()


async def without_garbage_collector(scope: Any, receive: Any, send: Any) -> None:
    """Counts objects of the servers' own types at /before; says at /left of which there are `?more=` more.

    It waits until there are none, 10 s at most: by itself, since each request leaves some, too.
    """
    gc.disable()
    if scope["type"] != "http" or scope["path"] not in {"/before", "/left"}:
        await application(scope, receive, send)
        return
    left: dict[str, int] = {}
    if scope["path"] == "/before":
        _before.clear()
        _before.update(_objects())
    else:
        (more,) = parse_qs(scope["query_string"].decode())["more"]
        for _ in range(100):
            left = {name: count for name, count in (_objects() - _before).items() if count >= int(more)}
            if not left:
                break
            await asyncio.sleep(0.1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(left).encode()})


def _objects() -> Counter[str]:
    types = (type(each) for each in gc.get_objects())
    names = Counter(kind.__qualname__ for kind in types if kind.__module__.startswith(SERVERS))
    del names["DelayedCall"]  # of a connection's timers, cancelled: Twisted drops them when they would be due
    return names
