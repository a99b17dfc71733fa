"""Receivers of model signals: send committed events, and have sockets closed that may no longer watch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from positions.models import Agent, EndedSession, PositionEvent
from positions.signals import position_events_committed
from realtime.publish.broadcast import publish_access_changes, publish_position_events


@receiver(position_events_committed)
def send_out(sender: object, events: list[PositionEvent], **kwargs: Any) -> None:
    publish_position_events(events)


@receiver(post_save, sender=Agent)
def agent_saved(
    sender: type[Agent],
    instance: Agent,
    created: bool,
    update_fields: frozenset[str] | None,
    using: str,
    **kwargs: Any,
) -> None:
    """An agent may have been handed to another owner."""
    if not created and (update_fields is None or update_fields & {"owner", "owner_id"}):
        _access_changed([instance.pk], using=using)


@receiver(post_delete, sender=Agent)
def agent_deleted(sender: type[Agent], instance: Agent, using: str, **kwargs: Any) -> None:
    _access_changed([instance.pk], using=using)


@receiver(post_save, sender=settings.AUTH_USER_MODEL)
def user_saved(
    sender: type[Any],
    instance: Any,
    created: bool,
    update_fields: frozenset[str] | None,
    using: str,
    **kwargs: Any,
) -> None:
    """A user may have been deactivated."""
    if not created and not instance.is_active and (update_fields is None or "is_active" in update_fields):
        _access_changed(list(Agent.objects.filter(owner=instance).values_list("pk", flat=True)), using=using)


@receiver(post_save, sender=EndedSession)
def session_ended(
    sender: type[EndedSession], instance: EndedSession, created: bool, using: str, **kwargs: Any
) -> None:
    """A user has logged out: the sockets of this session end, whichever agents they show."""
    if created:
        _access_changed(
            list(Agent.objects.filter(owner=instance.user_id).values_list("pk", flat=True)), using=using
        )


def _access_changed(agent_ids: Sequence[UUID], *, using: str) -> None:
    if agent_ids:
        transaction.on_commit(partial(publish_access_changes, agent_ids), using=using, robust=True)
