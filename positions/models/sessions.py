"""Browser sessions that were logged out before their tokens expired."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class EndedSession(models.Model):
    """A session that was logged out of. Its tokens, with `id` as their `sid` claim, are refused.

    Only ended sessions are stored: an active one costs no row, and a bot's token, which has no session, no query.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", editable=False
    )
    ended_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(
        editable=False, help_text="When the last of its tokens runs out by itself, and the row with it."
    )

    class Meta:
        db_table = "realtime_endedsession"  # where it was before migration 0002
        indexes = [models.Index(fields=["expires_at"], name="ended_session_expires_at")]

    def __str__(self) -> str:
        return f"session {self.pk}"
