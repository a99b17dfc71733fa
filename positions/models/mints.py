"""What is known of a token's mint."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models

from positions.books.accounting import MOST_DECIMALS
from positions.models.agents import LONGEST_ADDRESS, base58


class Mint(models.Model):
    """How finely a token is divided. Written by the price feed if its source reports it, and in the admin."""

    address = models.CharField(primary_key=True, max_length=LONGEST_ADDRESS, validators=[base58])
    decimals = models.PositiveSmallIntegerField(validators=[MaxValueValidator(MOST_DECIMALS)])

    class Meta:
        ordering = ["address"]

    def __str__(self) -> str:
        return self.address
