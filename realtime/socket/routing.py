"""Routes `/ws` to the consumer, and refuses every other path."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import URLRouter
from django.urls import re_path

from realtime.socket.authentication import SentOriginValidator, TokenAuthMiddleware
from realtime.socket.consumers import PositionConsumer


class UnknownPath(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Refuses the handshake: otherwise Channels raises, and the client gets a 500."""

    channel_layer_alias = None

    async def connect(self) -> None:
        await self.close()


def websocket_application() -> Any:
    return SentOriginValidator(
        URLRouter(
            [
                re_path(r"^ws/?$", TokenAuthMiddleware(PositionConsumer.as_asgi())),
                re_path(r"", UnknownPath.as_asgi()),
            ]
        )
    )
