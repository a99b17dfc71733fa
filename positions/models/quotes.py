"""The last known price of each token, for when the price cache no longer has it."""

from __future__ import annotations

from typing import Any

from django.db import models

from positions.models.agents import LONGEST_ADDRESS
from positions.models.fields import ExactDecimalField


def _figure(**options: Any) -> ExactDecimalField:
    # As sources report them: reserves up to 10³⁰, and prices of 30 decimals.
    return ExactDecimalField(max_digits=61, decimal_places=30, **options)


class LastQuote(models.Model):
    """The last quote of a token (positions.books.quotes.Quote). The feed writes them now and then, in bulk."""

    class Status(models.TextChoices):
        LIVE = "live"
        THIN = "thin"
        GONE = "gone"

    token_address = models.CharField(max_length=LONGEST_ADDRESS, primary_key=True)
    price = _figure(help_text="In SOL.")
    price_usd = _figure(null=True)
    as_of = models.DateTimeField(help_text="When the source last answered for the token.")
    priced_at = models.DateTimeField(help_text="When it gave this price.")
    status = models.CharField(max_length=4, choices=Status)
    liquidity_usd = _figure(null=True)
    pool_tokens = _figure(null=True)
    pool_sol = _figure(null=True)

    def __str__(self) -> str:
        return self.token_address
