"""The tutorial way's sender: a post_save receiver that sends to the agent's group."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.apps import AppConfig
from django.db.models.signals import post_save


class TutorialConfig(AppConfig):
    name = "benchmarks.tutorial"

    def ready(self) -> None:
        from positions.models import Position

        post_save.connect(position_saved, sender=Position)


def position_saved(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
    from benchmarks.tutorial.consumers import serialize

    event_type = "position_created" if created else "position_updated"
    message = {"type": "position.update", "event_type": event_type, "position": serialize(instance)}
    async_to_sync(get_channel_layer().group_send)(f"agent_{instance.agent_id}", message)
