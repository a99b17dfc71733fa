"""What was bought, sold, received and sent: the rows from which a position's figures follow."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable
from typing import Any, NoReturn

from django.db import models
from django.db.models import Q
from django.utils import timezone

from positions.books.trades import Side
from positions.errors import TradesAreKept
from positions.models.agents import Wallet, address_of
from positions.models.events import LONGEST_NOTE
from positions.models.fields import ExactDecimalField
from positions.models.guard import WatchedModel, unguarded
from positions.models.positions import Position, amount_field, sol_field
from positions.models.primary import PrimaryQuerySet

KEPT = "A booked trade is never changed or deleted; book another one that corrects it."


class TradeQuerySet(PrimaryQuerySet["Trade"]):
    """Trades, which are only added. (A deletion that cascades from a position, wallet or agent bypasses it.)"""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TradesAreKept(KEPT)

    def delete(self) -> NoReturn:
        raise TradesAreKept(KEPT)

    def bulk_create(
        self,
        objs: Iterable[Trade],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[Trade]:
        if update_conflicts:
            raise TradesAreKept(KEPT)
        return super().bulk_create(objs, batch_size, ignore_conflicts)

    update.alters_data = True  # type: ignore[attr-defined]
    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class Trade(WatchedModel):
    """A purchase, sale, airdrop or transfer, as it was. Rows are only added; `positions.services` adds them."""

    # Not a sequence: a loaded dump has keys of its own, which must still be free.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Their own indexes would be the beginnings of those below.
    wallet = models.ForeignKey(Wallet, on_delete=models.CASCADE, related_name="trades", db_index=False)
    position = models.ForeignKey(Position, on_delete=models.CASCADE, related_name="trades", db_index=False)
    side = models.CharField(max_length=12, choices=[(side.value, side.replace("_", " ")) for side in Side])
    tokens = amount_field()
    sol = sol_field(help_text="What left the wallet or reached it, fees included; of a transfer, its cost.")
    fee_sol = sol_field(default=0, help_text="The part of it that was fees.")
    sol_usd = ExactDecimalField(
        max_digits=20, decimal_places=9, null=True, blank=True, help_text="SOL in USD at that moment."
    )
    transaction_id = models.CharField(max_length=128, null=True, blank=True)
    content = models.CharField(
        max_length=64, null=True, blank=True, editable=False, help_text="Tells a repeat from another request."
    )
    figures = models.JSONField(null=True, blank=True, help_text="What a balance states.")
    note = models.CharField(
        max_length=LONGEST_NOTE, null=True, blank=True, help_text="Why, as whoever sold has said."
    )
    executed_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=timezone.now)
    reconstructed = models.BooleanField(
        default=False, help_text="Worked out from what was stored before there were trades."
    )

    objects = TradeQuerySet.as_manager()

    class Meta:
        ordering = ["executed_at", "recorded_at", "id"]
        base_manager_name = "objects"
        indexes = [
            models.Index(
                fields=["position", "executed_at", "recorded_at"], name="trade_position_executed_at"
            ),
            models.Index(fields=["wallet", "executed_at"], name="trade_wallet_executed_at"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["wallet", "transaction_id"], name="trade_transaction_id_unique_per_wallet"
            ),
            models.CheckConstraint(
                condition=Q(side="balance", figures__isnull=False)
                | (~Q(side="balance") & Q(figures__isnull=True)),
                name="trade_only_a_balance_has_figures",
            ),
            *(
                models.CheckConstraint(condition=Q(**{f"{name}__gte": 0}), name=f"trade_{name}_not_negative")
                for name in ("tokens", "sol", "fee_sol")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_side_display()} of {self.tokens.normalize():f}"

    def _write_row(self, write: Callable[[], bool], *, raw: bool, using: str) -> bool:
        if not raw:
            return write()
        with unguarded():  # a dump that is loaded again
            return write()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TradesAreKept(KEPT)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TradesAreKept(KEPT)

    @property
    def wallet_address(self) -> str:
        return address_of(self.wallet_id)
