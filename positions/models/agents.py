"""Agents and their wallets."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from positions.models.fields import SequenceField

# Base58 has no 0, O, I and l, and is case-sensitive.
base58 = RegexValidator(
    r"^[1-9A-HJ-NP-Za-km-z]+\Z",
    "“%(value)s” is not a Solana address: base58 has no 0, O, I, l or other signs.",
    "base58",
)


LONGEST_ADDRESS = 64


class Mode(models.TextChoices):
    SIMULATION = "simulation"
    LIVE = "live"


class Agent(models.Model):
    """A trading bot. Its `event_seq` is the number of the last event of its positions."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="agents")
    name = models.CharField(max_length=100)
    trading_mode = models.CharField(max_length=10, choices=Mode, default=Mode.SIMULATION)
    event_seq = SequenceField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class Wallet(models.Model):
    address = models.CharField(primary_key=True, max_length=LONGEST_ADDRESS, validators=[base58])
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="wallets")
    kind = models.CharField(max_length=10, choices=Mode, default=Mode.SIMULATION)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["address"]

    def __str__(self) -> str:
        return self.address
