"""A user's own quotas, where they are not those of the settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models


def _quota(setting: str) -> Any:
    text = f"0: no limit. Empty: that of the setting {setting}."
    return models.PositiveIntegerField(null=True, blank=True, help_text=text)


class Quota(models.Model):
    """What one user may have and do, given by the operator (`positions.services.quotas`)."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="quota"
    )
    agents = _quota("NEXGENT_USER_AGENTS")
    wallets = _quota("NEXGENT_USER_WALLETS")
    positions = _quota("NEXGENT_USER_POSITIONS")
    tokens = _quota("NEXGENT_USER_TOKENS")
    requests_per_second = _quota("NEXGENT_USER_REQUESTS_PER_SECOND")

    def __str__(self) -> str:
        return f"quotas of {self.user}"
