"""History: the candles of every token that was held, and the value of each agent's positions.

Written by `positions.history`, in bulk; no events. Rows are pruned by age.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

from django.db import models

from positions.models.agents import LONGEST_ADDRESS, Agent, Mode, base58
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


FIGURES = ("value_sol", "invested_sol", "realized_sol", "flow_sol", "positions", "not_live")
"""What an AgentValue says, of all positions and of those in simulated wallets."""


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
    # Live and simulated money have no sum that means anything: which of the two this is, or what part is simulated.
    mode = models.CharField(
        max_length=10,
        choices=Mode,
        null=True,
        help_text="Of all its positions until then; none where they differ.",
    )
    simulated_value_sol = _sum_field(null=True)
    simulated_invested_sol = _sum_field(null=True)
    simulated_realized_sol = _sum_field(null=True)
    simulated_flow_sol = _sum_field(null=True)
    simulated_positions = models.PositiveIntegerField(null=True)
    simulated_not_live = models.PositiveIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.agent_id} {self.at:%Y-%m-%d %H:%M}"

    @property
    def simulated(self) -> tuple[Decimal, Decimal, Decimal, Decimal, int, int] | None:
        """The part in simulated wallets, as FIGURES; None where it was not told apart, or is all or none."""
        if self.simulated_flow_sol is None:
            return None
        return tuple(getattr(self, f"simulated_{name}") for name in FIGURES)

    def only(self, mode: str) -> AgentValue:
        """Return the point of the positions in live, or in simulated wallets, where it tells them apart."""
        if self.simulated is None:
            return self
        figures = dict(zip(FIGURES, self.simulated, strict=True))
        if mode == Mode.LIVE:
            with localcontext(prec=80):
                figures = {name: getattr(self, name) - part for name, part in figures.items()}
        return AgentValue(agent_id=self.agent_id, at=self.at, sol_usd=self.sol_usd, mode=mode, **figures)
