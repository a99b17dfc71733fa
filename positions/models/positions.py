"""A wallet's position in a token: amounts, cost and rules."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from positions.books import symbols
from positions.books.accounting import Holding
from positions.books.trades import Books
from positions.models import recording
from positions.models.agents import LONGEST_ADDRESS, Agent, Wallet, address_of, base58
from positions.models.fields import ExactDecimalField, ExtremeField, IdsField, SymbolField
from positions.models.guard import WatchedModel
from positions.models.querysets import PositionQuerySet


# The limits and steps of positions.books.amounts.
def price_field(**options: Any) -> ExactDecimalField:
    """Prices of one token in SOL."""
    return ExactDecimalField(max_digits=42, decimal_places=30, **options)


def amount_field(**options: Any) -> ExactDecimalField:
    """Amounts of tokens."""
    return ExactDecimalField(max_digits=39, decimal_places=18, **options)


def extreme_field(*, highest: bool, **options: Any) -> ExtremeField:
    """The highest or lowest price since a position was opened."""
    return ExtremeField(max_digits=42, decimal_places=30, highest=highest, null=True, blank=True, **options)


def sol_field(**options: Any) -> ExactDecimalField:
    """Sums of SOL, to the lamport."""
    return ExactDecimalField(max_digits=20, decimal_places=9, **options)


def usd_field(**options: Any) -> ExactDecimalField:
    """Sums of USD as of each trade; null where one's SOL/USD is not known."""
    return ExactDecimalField(max_digits=30, decimal_places=9, null=True, blank=True, **options)


def _not_negative(*names: str) -> list[models.CheckConstraint]:
    return [
        models.CheckConstraint(condition=Q(**{f"{name}__gte": 0}), name=f"position_{name}_not_negative")
        for name in names
    ]


class Position(WatchedModel):
    """One token in one wallet, from its first purchase until all of it is sold.

    The agent, which the wallet determines, is stored here, too: every query of this table is for an agent.
    """

    class Status(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    booked_trade_id: uuid.UUID | None = None
    """No column: the trade that a service has just booked with this instance. A repeat has booked none."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="positions", db_index=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.CASCADE, related_name="positions")
    token_address = models.CharField(max_length=LONGEST_ADDRESS, validators=[base58], db_index=True)
    token_symbol = SymbolField(max_length=symbols.LONGEST)
    purchase_transaction_id = models.CharField(max_length=128, null=True, blank=True)

    purchase_price = price_field(help_text="Average cost of a token held, in SOL.")
    purchase_amount = amount_field(help_text="Tokens ever bought.")
    total_invested_sol = sol_field()
    remaining_amount = amount_field(help_text="Tokens held now.")
    realized_profit_sol = sol_field(default=0)
    cost_usd = usd_field(
        editable=False, help_text="What was paid for the tokens held now, in USD as of then."
    )
    realized_profit_usd = usd_field(
        editable=False, help_text="What sales brought above cost, in USD as of then."
    )

    current_stop_loss_percentage = ExactDecimalField(
        max_digits=9,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="Percent of the average cost: -20 sells 20 % below it, 5 sells 5 % above it.",
    )
    # The highest and lowest market price since it was opened, its own trades included. They follow the feed, and make
    # no event: PositionQuerySet.follow_market.
    peak_price = extreme_field(highest=True)
    last_stop_loss_update = models.DateTimeField(null=True, blank=True)

    dca_count = models.PositiveIntegerField(default=0)
    last_dca_time = models.DateTimeField(null=True, blank=True)
    lowest_price = extreme_field(highest=False)
    dca_transaction_ids = IdsField(default=list, blank=True)

    take_profit_levels_hit = models.PositiveIntegerField(default=0)
    take_profit_transaction_ids = IdsField(default=list, blank=True)
    last_take_profit_time = models.DateTimeField(null=True, blank=True)
    moon_bag_activated = models.BooleanField(default=False)
    moon_bag_amount = amount_field(null=True, blank=True)
    # A plan of take-profits, or neither: positions.services.take_profits.
    total_take_profit_levels = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="The last level of the plan, those hit before included; empty without a plan.",
    )
    tp_batch_start_level = models.PositiveIntegerField(
        null=True,
        blank=True,
        verbose_name="TP batch start level",
        help_text="Levels that were hit when the plan was made; empty without a plan.",
    )

    last_trade_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When its newest trade was executed; null without trades.",
    )
    books_digest = models.CharField(
        max_length=16,
        null=True,
        blank=True,
        editable=False,
        help_text="Of the figures that its trades led to: a row whose figures have another was changed beside them.",
    )

    status = models.CharField(max_length=6, choices=Status, default=Status.OPEN)
    closed_at = models.DateTimeField(null=True, blank=True)
    close_reason = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PositionQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "id"]
        # Related managers' add() and save() write through the base manager: without this, the first of them would
        # bypass PositionQuerySet.update, and so make no event.
        base_manager_name = "objects"
        indexes = [models.Index(fields=["agent", "status"], name="position_agent_status")]
        constraints = [
            models.UniqueConstraint(
                fields=["wallet", "token_address"],
                condition=Q(status="open"),
                name="position_one_open_per_wallet_and_token",
                violation_error_message="This wallet already has an open position in this token.",
            ),
            models.CheckConstraint(
                condition=Q(status="open", closed_at__isnull=True)
                | Q(status="closed", closed_at__isnull=False),
                name="position_closed_at_says_closed",
                violation_error_message="A closed position has a closing time, an open one has none.",
            ),
            *_not_negative(
                "purchase_price",
                "purchase_amount",
                "total_invested_sol",
                "remaining_amount",
                "peak_price",
                "lowest_price",
                "moon_bag_amount",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.token_symbol} in {self.wallet_address}"

    @property
    def wallet_address(self) -> str:
        return address_of(self.wallet_id)

    @property
    def holding(self) -> Holding:
        return Holding.of(self)

    @holding.setter
    def holding(self, holding: Holding) -> None:
        self.purchase_price = holding.purchase_price
        self.purchase_amount = holding.purchase_amount
        self.remaining_amount = holding.remaining_amount
        self.total_invested_sol = holding.total_invested_sol
        self.realized_profit_sol = holding.realized_profit_sol

    @property
    def transaction_ids(self) -> list[str]:
        """As the wire carries them; the trades have them, too."""
        opening = [self.purchase_transaction_id] if self.purchase_transaction_id else []
        return [*opening, *self.dca_transaction_ids, *self.take_profit_transaction_ids]

    @property
    def books(self) -> Books:
        return Books(self.holding, self.cost_usd, self.realized_profit_usd, self.dca_count)

    @books.setter
    def books(self, books: Books) -> None:
        """Take the figures over, as those that the trades lead to."""
        self.holding = books.holding
        self.cost_usd, self.realized_profit_usd = books.cost_usd, books.realized_profit_usd
        self.dca_count = books.dca_count
        self.books_digest = books.digest

    def clean(self) -> None:
        super().clean()
        if self.wallet_id and self.agent_id and self.wallet.agent_id != self.agent_id:
            raise ValidationError({"wallet": "This wallet belongs to another agent."})
        total, start = self.total_take_profit_levels, self.tp_batch_start_level
        if (total is None) != (start is None):
            raise ValidationError({"tp_batch_start_level": "A plan has both: its first level and its last."})
        if total is not None and start is not None and total < start:
            raise ValidationError({"total_take_profit_levels": "A plan ends after it begins."})

    def _write_row(self, write: Callable[[], bool], *, raw: bool, using: str) -> bool:
        return recording.save(self, write, positions=Position._base_manager.using(using))
