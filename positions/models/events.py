"""The log of every change of a position: one numbered row each."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.db import models

from positions.models.agents import Agent
from positions.models.fields import SnapshotField
from positions.models.guard import WatchedModel, unguarded
from positions.models.primary import PrimaryQuerySet

LONGEST_NOTE = 200


class PositionEvent(WatchedModel):
    """A change of a position, numbered per agent: without gaps, but for what `recording.start_over` leaves out.

    Rows are added, and pruned by age, never changed.
    `agent` and `position_id` have no database constraint: the log outlives agents and positions, and an agent's last
    events are those of its own deletion.
    """

    class Type(models.TextChoices):
        CREATED = "position_created"
        UPDATED = "position_updated"
        CLOSED = "position_closed"

    # Not a sequence: a loaded dump has keys of its own, which must still be free.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(
        Agent, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    seq = models.BigIntegerField()
    event_type = models.CharField(max_length=16, choices=Type)
    position_id = models.UUIDField()
    position = SnapshotField(
        null=True,
        blank=True,
        help_text="The position after the change, decimals as strings; none when closed.",
    )
    note = models.CharField(
        max_length=LONGEST_NOTE, null=True, blank=True, help_text="Why, as whoever made the change has said."
    )
    created_at = models.DateTimeField()

    objects = PrimaryQuerySet.as_manager()

    class Meta:
        # agent_id, not agent: the latter sorts by a join, and drops the events of deleted agents.
        ordering = ["agent_id", "seq"]
        constraints = [models.UniqueConstraint(fields=["agent", "seq"], name="event_seq_unique_per_agent")]
        indexes = [
            models.Index(fields=["position_id"], name="event_position"),
            models.Index(
                fields=["created_at"], name="event_created_at"
            ),  # the newest first, and pruning by age
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.seq}"

    @property
    def is_readable(self) -> bool:
        """Whether it says what happened; not, where its row was written past Django (SnapshotField)."""
        return is_readable(self.event_type, self.position)

    def _write_row(self, write: Callable[[], bool], *, raw: bool, using: str) -> bool:
        existed = write()
        # From a dump (`recording.append` adds many at once): its agent may be older, where servers wrote meanwhile.
        with unguarded():
            older = Agent.objects.using(using).filter(pk=self.agent_id, event_seq__lt=self.seq)
            older.update(event_seq=self.seq)
        return existed


_KINDS, _CLOSED = frozenset(PositionEvent.Type.values), PositionEvent.Type.CLOSED


def is_readable(kind: str, position: object) -> bool:
    """Return whether an event of this type says what happened, with this snapshot or None."""
    return kind in _KINDS and (position is not None or kind == _CLOSED)
