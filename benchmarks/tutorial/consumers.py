"""The tutorial way: a group for each agent, send_json. What the Channels documentation and its tutorials teach.

Its first message has no prices: this makes it cheaper than the real thing.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs

import django
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.tutorial.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken  # noqa: E402

from positions.books.snapshots import snapshot  # noqa: E402
from positions.models import Agent, Position  # noqa: E402


def serialize(position: Position) -> dict[str, Any]:
    stored = snapshot(position)
    return {
        "".join([name.split("_")[0], *map(str.title, name.split("_")[1:])]): stored[name] for name in stored
    }


class TutorialConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        query = parse_qs(self.scope["query_string"].decode())
        self.user = await self.get_user(query["token"][0])
        self.agent = await self.get_agent(query["agentId"][0])
        self.group = f"agent_{self.agent.pk}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.send_json({"type": "connected", "data": {"agentId": str(self.agent.pk)}})
        positions = await self.get_positions()
        await self.send_json({"type": "initial_data", "data": {"positions": positions}})

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def price_update(self, event: dict[str, Any]) -> None:
        data = {"updates": event["updates"], "timestamp": event["timestamp"]}
        await self.send_json({"type": "price_update_batch", "data": data})

    async def position_update(self, event: dict[str, Any]) -> None:
        data = {"eventType": event["event_type"], "position": event["position"]}
        await self.send_json({"type": "position_update", "data": data})

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def get_user(self, token: str) -> User:
        return User.objects.get(pk=AccessToken(token)["user_id"])  # type: ignore[arg-type]

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def get_agent(self, agent_id: str) -> Agent:
        return Agent.objects.get(pk=agent_id, owner=self.user)

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def get_positions(self) -> list[dict[str, Any]]:
        return [serialize(position) for position in Position.objects.filter(agent=self.agent, status="open")]


application = ProtocolTypeRouter({"websocket": URLRouter([re_path(r"^ws/?$", TutorialConsumer.as_asgi())])})
