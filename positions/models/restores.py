"""The epoch of the database: what tells a client that its number of the last event counts in another history.

It changes with each restore: noticed where the database itself is another one (a dump in a new database, a file put in
its place, a promoted replica), and told by `manage.py restored` otherwise.
"""

from __future__ import annotations

import hashlib
import secrets

from django.db import DEFAULT_DB_ALIAS, connections, models

from positions.installations import database


def _token() -> str:
    return secrets.token_hex(8)


class Restore(models.Model):
    """A restore that somebody has told of. Rows are only added."""

    token = models.CharField(max_length=16, default=_token, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Restored at {self.created_at:%Y-%m-%d %H:%M}"


def epoch() -> str:
    """Return the epoch: 8 letters and digits. Two queries. Raises what the database raises."""
    parts = tuple(database(connections[DEFAULT_DB_ALIAS]))
    restores = Restore.objects.using(DEFAULT_DB_ALIAS).order_by("-pk")
    last = restores.values_list("token", flat=True).first()
    return hashlib.sha256(repr((parts, last)).encode()).hexdigest()[:8]
