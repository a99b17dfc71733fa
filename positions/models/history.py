"""History: the candles of every token that was held, and the value of each agent's positions.

Written by `positions.history`, in bulk; no events. Rows are pruned by age.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from positions.models.agents import LONGEST_ADDRESS, Agent, base58
from positions.models.fields import ExactDecimalField


def market_price_field(**options: Any) -> ExactDecimalField:
    """A price as a source gave it, of tokens that cost next to nothing, too."""
    return ExactDecimalField(max_digits=50, decimal_places=30, **options)


class PricedToken(models.Model):
    """A token that has candles. Its number stands for its address in them: 4 bytes instead of 45, twice in each row."""

    id = models.AutoField(primary_key=True)
    address = models.CharField(max_length=LONGEST_ADDRESS, unique=True, validators=[base58])

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


def _sum_field(**options: Any) -> ExactDecimalField:
    """Sums of SOL over all positions of an agent, to the lamport: also of the largest amounts at the highest prices."""
    return ExactDecimalField(max_digits=50, decimal_places=9, **options)


class AgentValue(models.Model):
    """An agent at one moment: the value of its open positions, and the net flow of SOL until then.

    Deleted with its agent, by `positions.history.values`: as a cascade it would fill the admin's page of what goes with
    an agent. A new point has the sums of the last one if nothing has happened in between, by `event_seq`.
    """

    pk = models.CompositePrimaryKey("agent_id", "at")
    agent = models.ForeignKey(
        Agent, on_delete=models.DO_NOTHING, related_name="values", db_constraint=False, db_index=False
    )
    at = models.DateTimeField()
    is_hourly = models.BooleanField(
        help_text="Whether it is the first of its hour (UTC), which is kept longer."
    )
    value_sol = _sum_field()
    sol_usd = market_price_field(null=True)
    invested_sol = _sum_field(help_text="What was paid for the tokens held, at average cost.")
    realized_sol = _sum_field(help_text="Of all positions until then, closed ones included.")
    flow_sol = _sum_field(
        help_text="Purchases less proceeds of sales until then; transfers as what they were worth."
    )
    positions = models.PositiveIntegerField(help_text="How many were open.")
    not_live = models.PositiveIntegerField(help_text="Those of them whose price was not live.")
    event_seq = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.agent_id} {self.at:%Y-%m-%d %H:%M}"
