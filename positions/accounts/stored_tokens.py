"""What the database stores of a refresh token: its id, user and expiry, never the token itself.

simplejwt writes the whole token into OutstandingToken, though only its id is ever looked up: a reader of the table, or
of a backup, could log in as anyone.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import pre_save
from django.dispatch import receiver
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken


@receiver(pre_save, sender=OutstandingToken)
def forget_token(sender: type[OutstandingToken], instance: OutstandingToken, **kwargs: Any) -> None:
    instance.token = ""
