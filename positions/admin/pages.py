"""The admin's pages of agents, wallets and positions, with what they are worth.

All writes go through the models: a change made here becomes an event like any other. `realtime.admin`
adds to AgentAdmin whether a socket is connected.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.db.models import Count, Field, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from positions.accounts.admin_login import AdminLoginForm
from positions.admin.closing import close_with_reason
from positions.admin.export import Columns, as_csv
from positions.admin.links import AgentFilter, ChoosesUser, to_list, to_page
from positions.admin.migrating import migrate_to_mint
from positions.admin.take_profits import TakeProfitFilter
from positions.admin.trades import TradeInline
from positions.admin.values import COMPUTED, UNKNOWN, VALUE_COLUMNS, ValueColumns, computed, value_rows
from positions.admin.within_quotas import AgentForm, WalletForm, WalletFormSet
from positions.models import Agent, Mint, Position, Wallet
from positions.services.correcting import correct

if TYPE_CHECKING:
    AgentModelAdmin = admin.ModelAdmin[Agent]
    WalletModelAdmin = admin.ModelAdmin[Wallet]
    PositionModelAdmin = admin.ModelAdmin[Position]
    MintModelAdmin = admin.ModelAdmin[Mint]
    WalletTabularInline = admin.TabularInline[Wallet, Agent]
    PositionTabularInline = admin.TabularInline[Position, Agent]
    PositionInlineFormSet = BaseInlineFormSet[Position, Agent, ModelForm[Position]]
    PositionForm = ModelForm[Position]
else:
    AgentModelAdmin = WalletModelAdmin = PositionModelAdmin = MintModelAdmin = admin.ModelAdmin
    WalletTabularInline = PositionTabularInline = admin.TabularInline
    PositionInlineFormSet = BaseInlineFormSet
    PositionForm = ModelForm

admin.site.login_form = AdminLoginForm

POSITION_COLUMNS: Columns = [
    ("owner", lambda position: position.agent.owner.get_username()),
    ("agent", attrgetter("agent.name")),
    *((field.attname, attrgetter(field.attname)) for field in Position._meta.concrete_fields),
    *((name, computed(name)) for name in COMPUTED),
]
NO_PRICES = "The price cache cannot be reached: values use the last prices stored in the database."


class ValuedFormSet(PositionInlineFormSet):
    def get_queryset(self) -> QuerySet[Position]:
        rows = super().get_queryset()  # always the same, with its rows once they are read
        if rows and not hasattr(rows[0], "live"):
            value_rows(rows)
        return rows


class WalletInline(WalletTabularInline):
    """Wallets can be added; an address is a key, and its positions belong to the agent: neither changes."""

    model = Wallet
    formset = WalletFormSet
    fields = ("address", "kind")
    extra = 0
    show_change_link = True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OpenPositionInline(ValueColumns, PositionTabularInline):
    """Read-only: figures follow from purchases and sales."""

    model = Position
    formset = ValuedFormSet
    verbose_name_plural = "open positions"
    fields = readonly_fields = ("token_symbol", *VALUE_COLUMNS)
    extra = 0
    can_delete = False
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Position]:
        return super().get_queryset(request).filter(status=Position.Status.OPEN)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Agent)
class AgentAdmin(ChoosesUser, AgentModelAdmin):  # type: ignore[misc]
    form = AgentForm
    list_display: tuple[str, ...] = ("name", "owner", "trading_mode", "open_positions", "events")
    list_filter = ("trading_mode",)
    list_select_related = ("owner",)
    search_fields = ("name", f"owner__{get_user_model().USERNAME_FIELD}", "wallets__address")
    user_field = "owner"
    readonly_fields: ClassVar[tuple[str, ...]] = (
        "id",
        "open_positions",
        "events",
        "created_at",
        "updated_at",
    )
    inlines = (WalletInline, OpenPositionInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        # Counted for the rows of the page only: a join would be aggregated over all positions before its first row.
        held = Position.objects.open().filter(agent=OuterRef("pk")).order_by().values("agent")
        count = Subquery(held.annotate(count=Count("pk")).values("count"))
        return super().get_queryset(request).annotate(held=Coalesce(count, 0))

    @admin.display(description="open positions", ordering="held")
    def open_positions(self, agent: Agent) -> SafeString | str:
        if agent._state.adding:
            return UNKNOWN
        held = agent.held  # type: ignore[attr-defined]
        return to_list("position", held, agent__id__exact=agent.pk, status__exact="open")

    @admin.display(description="events", ordering="event_seq")
    def events(self, agent: Agent) -> SafeString:
        return to_list("positionevent", agent.event_seq, agent__id__exact=agent.pk)


@admin.register(Wallet)
class WalletAdmin(WalletModelAdmin):
    form = WalletForm
    list_display = ("address", "agent_link", "kind", "positions", "created_at")
    list_filter = ("kind",)
    list_select_related = ("agent",)
    search_fields = ("address", "agent__name")
    autocomplete_fields = ("agent",)

    def get_readonly_fields(self, request: HttpRequest, obj: Wallet | None = None) -> tuple[str, ...]:
        # Another address would be another wallet, and its positions would stay with their agent.
        return ("address", "agent", "positions", "created_at") if obj else ("created_at",)

    @admin.display(description="agent", ordering="agent__name")
    def agent_link(self, wallet: Wallet) -> SafeString:
        return to_page("agent", wallet.agent_id, wallet.agent)

    @admin.display(description="positions")
    def positions(self, wallet: Wallet) -> SafeString:
        return to_list("position", "positions", wallet__exact=wallet.pk)


@admin.register(Mint)
class MintAdmin(MintModelAdmin):
    """To be entered if no source reports them: amounts are rounded to these decimals when they are booked."""

    list_display = ("address", "decimals")
    search_fields = ("address",)
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: Mint | None = None) -> tuple[str, ...]:
        return ("address",) if obj else ()  # another address would be another row


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
