"""Routes `ws`, below `realtime.urls`, to the consumer, and refuses every other path."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import URLRouter
from django.urls import re_path

from realtime.paths import SOCKET, own_path
from realtime.socket.authentication import SentOriginValidator, TokenAuthMiddleware
from realtime.socket.consumers import PositionConsumer
from realtime.socket.transport import SecureTransport


class UnknownPath(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Refuses the handshake: otherwise Channels raises, and the client gets a 500."""

    channel_layer_alias = None

    async def connect(self) -> None:
        await self.close()


def websocket_application() -> Any:
    router = URLRouter(
        [
            re_path(rf"^{SOCKET}/?$", TokenAuthMiddleware(PositionConsumer.as_asgi())),
            re_path(r"", UnknownPath.as_asgi()),
        ]
    )

    # No coroutine, as other middleware here: as long as the socket is open, it would keep a quarter of a kilobyte.
    def below_base(scope: dict[str, Any], receive: Any, send: Any) -> Any:
        return router({**scope, "path_remaining": own_path(scope) or ""}, receive, send)

    return SecureTransport(SentOriginValidator(below_base))
