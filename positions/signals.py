"""From Django's model signals to events: the one place where a saved or deleted position is noticed.

`positions.querysets` does the same for writes that Django sends no signal for.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.dispatch import receiver

from positions import events
from positions.models import Position


@receiver([pre_save, pre_delete], sender=Position)
def remember_state(sender: type[Position], instance: Position, using: str, **kwargs: Any) -> None:
    """Lock the agents concerned and note what the position is before the write."""
    events.lock_agents({instance.agent_id}, using=using)
    before = events.states([instance.pk], using=using)
    was = before.get(instance.pk)
    if was and was.agent_id != instance.agent_id:
        # Handed from one agent to another: both get an event.
        events.lock_agents({was.agent_id, instance.agent_id}, using=using)
    instance._state_before = before  # type: ignore[attr-defined]


@receiver(post_save, sender=Position)
def record_save(sender: type[Position], instance: Position, using: str, **kwargs: Any) -> None:
    events.record_changes(instance.__dict__.pop("_state_before"), [instance.pk], using=using)


@receiver(post_delete, sender=Position)
def record_delete(sender: type[Position], instance: Position, using: str, **kwargs: Any) -> None:
    was = instance.__dict__.pop("_state_before").get(instance.pk)
    if was:
        events.record_removal(was, instance.pk, using=using)
