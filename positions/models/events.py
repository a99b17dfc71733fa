"""The log of every change of a position: one numbered row each."""

from __future__ import annotations

import uuid

from django.db import models

from positions.models.agents import Agent
from positions.models.fields import SnapshotField


class PositionEvent(models.Model):
    """What became of a position, numbered without a gap per agent. Rows are only ever added, and pruned by age.

    `agent` and `position_id` hold no database constraint: the log outlives what it tells of, and the last events of
    an agent are those of its own removal.
    """

    class Type(models.TextChoices):
        CREATED = "position_created"
        UPDATED = "position_updated"
        CLOSED = "position_closed"

    # Not counted up: a dump that is loaded brings its events' keys along, and these must not be taken by then.
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
        # agent_id, not agent: the latter sorts by a join, and drops the events of agents that are gone.
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
