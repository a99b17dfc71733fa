"""The admin's pages of positions, with what they are worth: to correct, close, migrate and export.

All writes go through the models: a change made here becomes an event like any other.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Field, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from positions.admin.closing import close_with_reason
from positions.admin.export import Columns, as_csv
from positions.admin.links import AgentFilter, to_list, to_page
from positions.admin.migrating import migrate_to_mint
from positions.admin.take_profits import TakeProfitFilter
from positions.admin.trades import TradeInline
from positions.admin.values import COMPUTED, VALUE_COLUMNS, ValueColumns, computed, value_rows
from positions.models import Position
from positions.services.correcting import correct

if TYPE_CHECKING:
    PositionModelAdmin = admin.ModelAdmin[Position]
    PositionForm = ModelForm[Position]
else:
    PositionModelAdmin = admin.ModelAdmin
    PositionForm = ModelForm

POSITION_COLUMNS: Columns = [
    ("owner", lambda position: position.agent.owner.get_username()),
    ("agent", attrgetter("agent.name")),
    *((field.attname, attrgetter(field.attname)) for field in Position._meta.concrete_fields),
    *((name, computed(name)) for name in COMPUTED),
]
NO_PRICES = "The price cache cannot be reached: values use the last prices stored in the database."


class ValuedChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not value_rows(self.result_list):
            messages.warning(request, NO_PRICES)


@admin.register(Position)
class PositionAdmin(ValueColumns, PositionModelAdmin):
    list_display = ("token_symbol", "agent_link", "wallet_link", "status", *VALUE_COLUMNS, "updated_at")
    list_filter = (
        "status",
        TakeProfitFilter,
        "moon_bag_activated",
        ("agent__trading_mode", admin.ChoicesFieldListFilter),
        AgentFilter,
    )
    list_select_related = ("agent",)
    show_full_result_count = False
    search_fields = ("token_address", "token_symbol", "wallet__address", "agent__name", "=id")
    actions = ("close_selected", "migrate_selected", "export_selected")
    exclude = (
        "agent",
        "wallet",
    )  # shown as links: a list of all agents to choose from would be most of the page
    readonly_fields = (
        *("id", "agent_link", "wallet_link", "events", "trades", "token_address", "purchase_transaction_id"),
        *VALUE_COLUMNS,
        *(
            "liquidity_usd",
            "peak_price",
            "lowest_price",
            "dca_transaction_ids",
            "take_profit_transaction_ids",
            "status",
            "closed_at",
            "close_reason",
        ),
        *("created_at", "updated_at"),
    )

    @admin.display(description="agent", ordering="agent__name")
    def agent_link(self, position: Position) -> SafeString:
        return to_page("agent", position.agent_id, position.agent)

    @admin.display(description="wallet", ordering="wallet")
    def wallet_link(self, position: Position) -> SafeString:
        return to_page("wallet", position.wallet_id, position.wallet_address)

    @admin.display(description="events")
    def events(self, position: Position) -> SafeString:
        return to_list("positionevent", "its events", q=position.pk)

    @admin.display(description="trades")
    def trades(self, position: Position) -> SafeString:
        return to_list("trade", "its trades", q=position.pk)

    def get_inlines(self, request: HttpRequest, obj: Position | None) -> list[Any]:
        return [TradeInline] if request.method == "GET" else []  # to look at: a form sends nothing of it

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ValuedChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a purchase opens a position, not a form with ten figures that must be consistent

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field:
            # The form sends its initial values, too: only what was changed by hand counts as changed.
            field.show_hidden_initial = True
        return field

    def save_model(self, request: HttpRequest, obj: Position, form: PositionForm, change: bool) -> None:
        # Nothing else: the bot may have traded since the form was opened.
        correct(position_id=obj.pk, values={name: getattr(obj, name) for name in form.changed_data})

    @admin.action(description="Close selected positions at the market price", permissions=["change"])
    def close_selected(self, request: HttpRequest, queryset: QuerySet[Position]) -> TemplateResponse | None:
        return close_with_reason(self, request, queryset)

    @admin.action(description="Migrate selected positions to another mint", permissions=["change"])
    def migrate_selected(self, request: HttpRequest, queryset: QuerySet[Position]) -> TemplateResponse | None:
        return migrate_to_mint(self, request, queryset)

    @admin.action(description="Export selected positions as CSV", permissions=["view"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[Position]) -> StreamingHttpResponse:
        return as_csv(
            queryset.select_related("agent__owner"), POSITION_COLUMNS, name="positions", prepare=value_rows
        )
