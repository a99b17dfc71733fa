"""What writes answered, kept for their repeats."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from positions.models.trades import Trade


class StoredAnswer(models.Model):
    """The answer to a write that is known by a key of its user's, by the transaction id of its trade, or by both.

    It is written in the transaction of the write: both exist, or neither.
    """

    # Not a sequence: a loaded dump has keys of its own, which must still be free.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No index of its own: the constraint's begins with it.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", editable=False, db_index=False
    )
    key = models.CharField(
        max_length=255, null=True, editable=False, help_text="The request's Idempotency-Key."
    )
    trade = models.OneToOneField(
        Trade,
        on_delete=models.SET_NULL,
        null=True,
        related_name="answer",
        editable=False,
        help_text="What was booked, where it has a transaction id.",
    )
    path = models.TextField(editable=False)
    content = models.JSONField(editable=False, help_text="What the request's body said, field by field.")
    status = models.PositiveSmallIntegerField(editable=False)
    body = models.TextField(editable=False, help_text="The answer's body, byte for byte.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="answer_key_unique_per_user")]
        indexes = [models.Index(fields=["created_at"], name="answer_created_at")]  # for pruning by age

    def __str__(self) -> str:
        return f"answer to {self.path}"
