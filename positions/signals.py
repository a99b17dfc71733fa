"""From Django's model signals to events: the one place where a saved or deleted position is noticed.

`positions.querysets` does the same for writes that Django sends no signal for.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.dispatch import receiver

from positions import events
from positions.models import Agent, Position, Wallet


@receiver(pre_save, sender=Position)
def before_save(sender: type[Position], instance: Position, using: str, **kwargs: Any) -> None:
    with transaction.atomic(using=using, savepoint=False):
        before = events.states([instance.pk], using=using)
        agents: set[UUID] = set()
        while not agents >= (
            concerned := {instance.agent_id, *(state.agent_id for state in before.values())}
        ):
            # Both, where the position goes from one agent to another. Once more, if it went while we waited.
            agents = concerned
            events.lock_agents(agents, using=using)
            before = events.states([instance.pk], using=using)
    _remember(instance, before)


@receiver(post_save, sender=Position)
def record_save(sender: type[Position], instance: Position, using: str, **kwargs: Any) -> None:
    with transaction.atomic(using=using, savepoint=False):
        events.record_changes(_recall(instance), [instance.pk], using=using)


@receiver(pre_delete, sender=Position)
def before_delete(
    sender: type[Position], instance: Position, using: str, origin: Model | QuerySet[Any], **kwargs: Any
) -> None:
    block = transaction.get_connection(using).atomic_blocks[0]
    if origin.__dict__.get("_agents_locked_in") is not block:
        # All at once, in order, whatever the cascade started from: position by position could deadlock.
        events.lock_agents(_agents_of(origin, using), using=using)
        origin.__dict__["_agents_locked_in"] = block  # once for all positions of this deletion
    events.lock_agents({instance.agent_id}, using=using)
    _remember(instance, events.states([instance.pk], using=using))


@receiver(post_delete, sender=Position)
def record_delete(sender: type[Position], instance: Position, using: str, **kwargs: Any) -> None:
    for state in _recall(instance).values():
        events.record_removal(state, instance.pk, using=using)


@receiver(pre_save, sender=Agent)
def keep_event_seq(sender: type[Agent], instance: Agent, raw: bool, using: str, **kwargs: Any) -> None:
    """A fixture is saved as it stands, past SequenceField: an old one must not set the numbers back."""
    if raw:
        with transaction.atomic(using=using, savepoint=False):
            events.lock_agents({instance.pk}, using=using)
            known = (
                Agent.objects.using(using).filter(pk=instance.pk).values_list("event_seq", flat=True).first()
            )
        instance.event_seq = max(instance.event_seq, known or 0)


def _agents_of(origin: Model | QuerySet[Any], using: str) -> set[UUID]:
    """Return the agents whose positions a deletion that starts from `origin` takes with it."""
    model, rows = (origin.model, origin) if isinstance(origin, QuerySet) else (type(origin), [origin.pk])
    paths: dict[type[Model], str] = {
        Position: "positions",
        Wallet: "wallets",
        Agent: "pk",
        get_user_model(): "owner",
    }
    if model not in paths:  # another app's, with a cascade of its own
        return set()
    return set(
        Agent.objects.using(using).filter(**{f"{paths[model]}__in": rows}).values_list("pk", flat=True)
    )


def _remember(instance: Position, before: dict[UUID, events.State]) -> None:
    # A stack: a receiver of post_save may save the instance again before `record_save` has run.
    instance.__dict__.setdefault("_states_before", []).append(before)


def _recall(instance: Position) -> dict[UUID, events.State]:
    before: dict[UUID, events.State] = instance.__dict__["_states_before"].pop()
    return before
