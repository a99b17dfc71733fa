"""Signals that other apps may connect to (docs/building-on-it.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db.models import Model
from django.db.models.signals import class_prepared
from django.dispatch import Signal

# Sent after the commit, with `events`: a list of PositionEvent, in order; never for a transaction that is rolled back.
# Receivers run in the writer's thread; an error in one is logged and does not fail the write.
position_events_committed = Signal()

# Sent after the commit, with `user_ids`: a set. Tokens of these users were revoked. Not where the database itself has
# ended them, with a password or an account (positions/models/user_changes.py).
token_families_ended = Signal()

# Sent where a user is refused for a quota, with `bound`: its name, as `nexgent_refusals_total` has it.
refused_at_bound = Signal()


def for_each_class(model: type[Model], connect: Callable[[type[Any]], object]) -> None:
    """Call `connect` with a model and each subclass of it, those declared later, too. Once the models are loaded.

    A receiver with `sender=Agent` hears nothing of a proxy or a multi-table child; one without a sender costs every
    model's rows a call, and all deletions their short cut.
    """

    found = []  # kept: a signal knows its sender by the id, which another class could get

    def prepared(sender: type[Model], **kwargs: object) -> None:
        if issubclass(sender, model):
            found.append(sender)
            connect(sender)

    for known in apps.get_models():
        prepared(known)
    class_prepared.connect(prepared, weak=False)
