"""The log of every change of a position: one numbered row each."""

from __future__ import annotations

import uuid

from django.db import models

from positions.models.agents import Agent
from positions.models.fields import SnapshotField


class PositionEvent(models.Model):
    """A change of a position, numbered without gaps per agent. Rows are added, and pruned by age, never changed.

    `agent` and `position_id` have no database constraint: the log outlives agents and positions, and an agent's last
    events are those of its own deletion.
    """

    class Type(models.TextChoices):
        CREATED = "position_created"
        UPDATED = "position_updated"
        CLOSED = "position_closed"

    # Not a sequence: a loaded dump has keys of its own, which must still be free.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.DO_NOTHING, db_constraint=False, related_name="events")
    seq = models.BigIntegerField()
    event_type = models.CharField(max_length=16, choices=Type)
    position_id = models.UUIDField()
    position = SnapshotField(
        null=True,
        blank=True,
        help_text="The position after the change, decimals as strings; none when closed.",
    )
    created_at = models.DateTimeField()

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
