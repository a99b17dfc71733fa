"""The log-outs of the release before, which has no token families. Servers of this release neither read nor write it.

The table stays while servers of both may run; the next release removes it, as it does simplejwt's token_blacklist.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class EndedSession(models.Model):
    """A browser session that was logged out of."""

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
