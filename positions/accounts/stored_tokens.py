"""What the database keeps of a refresh token: its number, its user and its end, never what opens anything.

simplejwt writes the whole token into OutstandingToken, of which only the number is ever looked up: whoever reads the
table, or a backup of it, could log in as anyone.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import pre_save
from django.dispatch import receiver
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken


@receiver(pre_save, sender=OutstandingToken)
def forget_token(sender: type[OutstandingToken], instance: OutstandingToken, **kwargs: Any) -> None:
    instance.token = ""
