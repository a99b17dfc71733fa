"""The admin's pages of trades: read-only, since a position's figures are worked out from them."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.safestring import SafeString

from positions.admin.export import Columns, as_csv
from positions.admin.links import to_page
from positions.admin.values import UNKNOWN
from positions.books.accounting import digits
from positions.models import Position, Trade

if TYPE_CHECKING:
    TradeModelAdmin = admin.ModelAdmin[Trade]
    TradeTabularInline = admin.TabularInline[Trade, Position]
    TradeInlineFormSet = BaseInlineFormSet[Trade, Position, ModelForm[Trade]]
else:
    TradeModelAdmin = admin.ModelAdmin
    TradeTabularInline = admin.TabularInline
    TradeInlineFormSet = BaseInlineFormSet

MOST_ON_A_PAGE = 50
"""Of a position's trades; the list has all."""
TRADE_COLUMNS: Columns = [
    *((name, attrgetter(name)) for name in ("executed_at", "recorded_at")),
    ("wallet_id", attrgetter("wallet_address")),
    ("token_address", attrgetter("position.token_address")),
    ("token_symbol", attrgetter("position.token_symbol")),
    *(
        (name, attrgetter(name))
        for name in (
            "side",
            "tokens",
            "sol",
            "fee_sol",
            "sol_usd",
            "transaction_id",
            "position_id",
            "reconstructed",
            "note",
        )
    ),
]


class ReadOnly:
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class TradeColumns:
    """Amounts without the zeros that their columns have."""

    @admin.display(description="tokens")
    def amount(self, trade: Trade) -> str:
        return digits(trade.tokens)

    @admin.display(description="SOL")
    def sum_sol(self, trade: Trade) -> str:
        return digits(trade.sol)

    @admin.display(description="fee (SOL)")
    def fee(self, trade: Trade) -> str:
        return digits(trade.fee_sol)

    @admin.display(description="SOL in USD")
    def rate(self, trade: Trade) -> str:
        return UNKNOWN if trade.sol_usd is None else digits(trade.sol_usd)


COLUMNS = (
    "executed_at",
    "side",
    "amount",
    "sum_sol",
    "fee",
    "rate",
    "transaction_id",
    "reconstructed",
    "note",
)


class NewestFormSet(TradeInlineFormSet):
    def get_queryset(self) -> QuerySet[Trade]:
        if not hasattr(self, "_newest"):
            self._newest = super().get_queryset().order_by("-executed_at", "-recorded_at")[:MOST_ON_A_PAGE]
        return self._newest


class TradeInline(ReadOnly, TradeColumns, TradeTabularInline):
    model = Trade
    formset = NewestFormSet
    verbose_name_plural = f"newest {MOST_ON_A_PAGE} trades"
    fields = readonly_fields = COLUMNS
    extra = 0
    can_delete = False


@admin.register(Trade)
class TradeAdmin(ReadOnly, TradeColumns, TradeModelAdmin):
    list_display = ("executed_at", "position_link", "wallet_link", *COLUMNS[1:])
    list_filter = ("side", "reconstructed", "executed_at")
    list_select_related = ("position",)
    search_fields = (
        "=transaction_id",
        "=position__id",
        "wallet__address",
        "position__token_address",
        "position__token_symbol",
    )
    actions = ("export_selected",)
    ordering = ("-executed_at", "-recorded_at")
    show_full_result_count = False
    fields = readonly_fields = ("id", "position_link", "wallet_link", *COLUMNS, "figures", "recorded_at")

    @admin.display(description="position")
    def position_link(self, trade: Trade) -> SafeString:
        return to_page("position", trade.position_id, trade.position.token_symbol)

    @admin.display(description="wallet")
    def wallet_link(self, trade: Trade) -> SafeString:
        return to_page("wallet", trade.wallet_id, trade.wallet_address)

    def has_delete_permission(self, request: HttpRequest, obj: Trade | None = None) -> bool:
        # Deleted only with their position, wallet, agent or user, whose pages ask here as well.
        match = request.resolver_match
        if match is None or (match.url_name or "").startswith("positions_trade_"):
            return False
        return super().has_delete_permission(request, obj)

    @admin.action(description="Export selected trades as CSV", permissions=["view"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[Trade]) -> StreamingHttpResponse:
        return as_csv(queryset.select_related("position"), TRADE_COLUMNS, name="trades")
