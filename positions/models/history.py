"""What prices were: the candles of every token that was held.

Written by `positions.history`, in bulk and past the ORM; neither has events. Rows are pruned by age.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from positions.models.agents import base58
from positions.models.fields import ExactDecimalField


def market_price_field(**options: Any) -> ExactDecimalField:
    """A price as a source gave it, of tokens that cost next to nothing, too."""
    return ExactDecimalField(max_digits=50, decimal_places=30, **options)


class PricedToken(models.Model):
    """A token that has candles. Its number stands for its address in them: 4 bytes instead of 45, twice in each row."""

    id = models.AutoField(primary_key=True)
    address = models.CharField(max_length=64, unique=True, validators=[base58])

    def __str__(self) -> str:
        return self.address


class Candle(models.Model):
    """One token's prices, in SOL, over one minute or one hour. Where no live price came, there is no row."""

    MINUTE, HOUR = 60, 3600

    pk = models.CompositePrimaryKey("token_id", "seconds", "start")
    # No constraint: it would be looked up for every row that is written, and no token is ever deleted.
    token = models.ForeignKey(
        PricedToken, on_delete=models.CASCADE, related_name="candles", db_constraint=False, db_index=False
    )
    seconds = models.SmallIntegerField(help_text="How long it is: 60 or 3600.")
    start = models.DateTimeField()
    open = market_price_field()
    high = market_price_field()
    low = market_price_field()
    close = market_price_field()
    close_usd = market_price_field(
        null=True, help_text="In USD, at the moment of `close`; none where SOL in USD was unknown."
    )

    def __str__(self) -> str:
        return f"{self.token_id} {self.start:%Y-%m-%d %H:%M}"
