"""Receivers of model signals: send committed events, and have sockets closed that may no longer watch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from positions.models import Agent, PositionEvent
from positions.signals import (
    for_each_class,
    position_events_committed,
    refused_at_bound,
    token_families_ended,
)
from realtime.monitoring.metrics import counts
from realtime.publish.broadcast import publish_access_changes, publish_position_events


@receiver(position_events_committed)
def send_out(sender: object, events: list[PositionEvent], **kwargs: Any) -> None:
    # Of an archive, say, with numbers of its own: sockets show the default database.
    if events[0]._state.db == DEFAULT_DB_ALIAS:
        publish_position_events(events)


@receiver(refused_at_bound)
def count_refusal(sender: object, bound: str, **kwargs: Any) -> None:
    counts.refusals[bound] += 1


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
        _access_changed([instance.id], using=using)  # of a child, `pk` may be another


def agent_deleted(sender: type[Agent], instance: Agent, using: str, **kwargs: Any) -> None:
    _access_changed([instance.id], using=using)  # of a child, `pk` may be another


def user_saved(
    sender: type[Any],
    instance: Any,
    created: bool,
    update_fields: frozenset[str] | None,
    using: str,
    **kwargs: Any,
) -> None:
    """A user may have been deactivated, or have another password: the database has ended the user's tokens."""
    if not created and (update_fields is None or update_fields & {"is_active", "password"}):
        _access_changed(
            list(Agent.objects.using(using).filter(owner=instance.pk).values_list("pk", flat=True)),
            using=using,
        )


@receiver(token_families_ended)
def tokens_ended(sender: object, user_ids: set[Any], **kwargs: Any) -> None:
    """After a log-out, or where tokens were revoked: these users' sockets are checked, whichever agents they show."""
    agent_ids = list(Agent.objects.filter(owner__in=user_ids).values_list("pk", flat=True))
    if agent_ids:
        publish_access_changes(agent_ids)


def _access_changed(agent_ids: Sequence[UUID], *, using: str) -> None:
    if agent_ids:
        transaction.on_commit(partial(publish_access_changes, agent_ids), using=using, robust=True)


for_each_class(Agent, lambda model: post_save.connect(agent_saved, sender=model))
for_each_class(Agent, lambda model: post_delete.connect(agent_deleted, sender=model))
for_each_class(get_user_model(), lambda model: post_save.connect(user_saved, sender=model))
