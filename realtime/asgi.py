"""The ASGI application of a project that has these apps. One line of its `asgi.py`:

application = with_realtime(get_asgi_application(), websocket=its_own_sockets)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Application = Callable[..., Awaitable[Any]]


def with_realtime(http: Application, *, websocket: Application | None = None) -> Application:
    """Return an application that serves sockets at `ws` below `realtime.urls`, and passes on everything else.

    http: Django's application, which has loaded the apps by now. websocket: what the project does with sockets at other
    paths; they are refused without it. Sockets here are closed in order when the server stops, and requests of
    `realtime.urls` have bounds (docs/security.md); what else the project serves stays as it is.
    """
    from channels.routing import ProtocolTypeRouter

    from positions.deadlines import answers_within
    from realtime.conf import conf
    from realtime.paths import SOCKET, own_path
    from realtime.servers import descriptors
    from realtime.servers.bodies import BoundedBodies
    from realtime.servers.probes import with_allowed_host
    from realtime.servers.requests_at_once import RequestsAtOnce
    from realtime.servers.shutdown import GracefulShutdown
    from realtime.servers.targets import with_plain_target, with_prefix
    from realtime.socket.routing import websocket_application

    descriptors.at_start()
    answers_within(conf.DATABASE_ANSWER_SECONDS)
    ours = GracefulShutdown(
        ProtocolTypeRouter(
            {"http": BoundedBodies(RequestsAtOnce(http)), "websocket": websocket_application()}
        )
    )

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> Any:
        if "path" not in scope:  # the server's start and end
            return await ours(scope, receive, send)
        scope = with_prefix(with_plain_target(scope))
        own = own_path(scope)
        if scope["type"] == "http":
            if own is None:
                return await http(scope, receive, send)
            scope = with_allowed_host(scope, own)
        if scope["type"] == "websocket" and websocket is not None and (own or "").strip("/") != SOCKET:
            return await websocket(scope, receive, send)
        return await ours(scope, receive, send)

    return application
