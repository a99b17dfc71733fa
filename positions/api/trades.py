"""The lists of trades: of all the caller's positions, or of one. Read-only: trades come from writes to positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from positions.api import operations
from positions.api.filters import TradeFilter
from positions.api.owned import OwnedViewSet
from positions.api.wire_trades import trade_on_rest
from positions.models import Position, Trade


@operations.trades
class TradeViewSet(OwnedViewSet[Trade]):
    filter_class = TradeFilter

    def get_queryset(self) -> QuerySet[Trade]:
        trades = Trade.objects.filter(position__agent__owner_id=self.request.user.pk).select_related(
            "position"
        )
        return trades.order_by("-executed_at", "-recorded_at", "-id")

    def on_the_wire(self, rows: Sequence[Trade]) -> list[Any]:
        return [trade_on_rest(trade) for trade in rows]


@operations.trades_of_position
class PositionTradeViewSet(TradeViewSet):
    def get_queryset(self) -> QuerySet[Trade]:
        return super().get_queryset().filter(position_id=self.kwargs["pk"])

    def list(self, request: Request, pk: str) -> Response:  # type: ignore[override]
        get_object_or_404(Position.objects.filter(agent__owner_id=request.user.pk), pk=pk)
        return super().list(request)
