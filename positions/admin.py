"""The admin: what agents hold and what it is worth, closing by hand, and the log of events to look at.

Nothing here writes past the model: what is changed by hand becomes events like any other change. `realtime.admin`
adds to AgentAdmin whether a socket is connected.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Field, Q, QuerySet
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from positions.accounting import digits
from positions.admin_login import AdminLoginForm
from positions.admin_values import UNKNOWN, VALUE_COLUMNS, ValueColumns, signed, value_rows
from positions.errors import PositionsError, PriceUnknown
from positions.models import Agent, Position, PositionEvent, Wallet
from positions.services import close_position

if TYPE_CHECKING:
    AgentModelAdmin = admin.ModelAdmin[Agent]
    WalletModelAdmin = admin.ModelAdmin[Wallet]
    PositionModelAdmin = admin.ModelAdmin[Position]
    EventModelAdmin = admin.ModelAdmin[PositionEvent]
    WalletTabularInline = admin.TabularInline[Wallet, Agent]
    PositionTabularInline = admin.TabularInline[Position, Agent]
    PositionInlineFormSet = BaseInlineFormSet[Position, Agent, ModelForm[Position]]
    PositionForm = ModelForm[Position]
else:
    AgentModelAdmin = WalletModelAdmin = PositionModelAdmin = EventModelAdmin = admin.ModelAdmin
    WalletTabularInline = PositionTabularInline = admin.TabularInline
    PositionInlineFormSet = BaseInlineFormSet
    PositionForm = ModelForm

admin.site.login_form = AdminLoginForm

NO_PRICES = "The price cache cannot be reached: values are at the purchase price."


class ValuedFormSet(PositionInlineFormSet):
    def get_queryset(self) -> QuerySet[Position]:
        rows = super().get_queryset()  # always the same, with its rows once they are read
        if rows and not hasattr(rows[0], "live"):
            value_rows(rows)
        return rows


class WalletInline(WalletTabularInline):
    """Wallets can be added; an address is a key, and its positions belong to the agent: neither changes."""

    model = Wallet
    fields = ("address", "kind")
    extra = 0
    max_num = len(Wallet.kind.field.choices or ())
    show_change_link = True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OpenPositionInline(ValueColumns, PositionTabularInline):
    """To look at only: figures follow from purchases and sales."""

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
class AgentAdmin(AgentModelAdmin):
    list_display: tuple[str, ...] = ("name", "owner", "trading_mode", "open_positions", "event_seq")
    list_filter = ("trading_mode",)
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username", "wallets__address")
    autocomplete_fields = ("owner",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("id", "event_seq", "created_at", "updated_at")
    inlines = (WalletInline, OpenPositionInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        is_open = Q(positions__status=Position.Status.OPEN)
        # distinct: a search joins wallets, too
        return super().get_queryset(request).annotate(held=Count("positions", filter=is_open, distinct=True))

    @admin.display(description="open positions", ordering="held")
    def open_positions(self, agent: Agent) -> int:
        return agent.held  # type: ignore[attr-defined, no-any-return]


@admin.register(Wallet)
class WalletAdmin(WalletModelAdmin):
    list_display = ("address", "agent", "kind", "created_at")
    list_filter = ("kind",)
    list_select_related = ("agent",)
    search_fields = ("address", "agent__name")
    autocomplete_fields = ("agent",)

    def get_readonly_fields(self, request: HttpRequest, obj: Wallet | None = None) -> tuple[str, ...]:
        # Another address would be another wallet, and its positions would stay with the agent that they have.
        return ("address", "agent", "created_at") if obj else ("created_at",)


class ValuedChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not value_rows(self.result_list):
            messages.warning(request, NO_PRICES)


@admin.register(Position)
class PositionAdmin(ValueColumns, PositionModelAdmin):
    list_display = ("token_symbol", "agent", "wallet_address", "status", *VALUE_COLUMNS, "updated_at")
    list_filter = (
        "status",
        ("agent__trading_mode", admin.ChoicesFieldListFilter),
        ("agent", admin.RelatedOnlyFieldListFilter),
    )
    list_select_related = ("agent",)
    search_fields = ("token_address", "token_symbol", "wallet__address", "agent__name", "=id")
    actions = ("close_selected",)
    readonly_fields = (
        *("id", "agent", "wallet", "token_address", "purchase_transaction_id", *VALUE_COLUMNS),
        *("dca_transaction_ids", "take_profit_transaction_ids", "status", "closed_at", "close_reason"),
        *("created_at", "updated_at"),
    )

    @admin.display(description="wallet", ordering="wallet")
    def wallet_address(self, position: Position) -> str:
        return position.wallet_id

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ValuedChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a purchase opens a position, not a form with ten figures that must fit each other

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field:
            # The form sends what it showed, too: what counts as changed is what was changed by hand.
            field.show_hidden_initial = True
        return field

    def save_model(self, request: HttpRequest, obj: Position, form: PositionForm, change: bool) -> None:
        # Nothing else: the bot may have traded since the form was opened.
        obj.save(update_fields=[*form.changed_data, "updated_at"])

    @admin.action(description="Close selected positions at the market price", permissions=["change"])
    def close_selected(self, request: HttpRequest, queryset: QuerySet[Position]) -> None:
        closed = []
        for position in queryset:
            try:
                result = close_position(position_id=position.pk, reason="closed in the admin")
            except PriceUnknown:
                self._warn(request, position, "its market price is not known now")
            except PositionsError as error:
                self._warn(request, position, error.message)
            except Position.DoesNotExist:
                self._warn(request, position, "it is gone")
            else:
                closed.append(
                    f"{position} (realised {signed(digits(result.realized_profit_sol))} SOL in all)"
                )
        if closed:
            self.message_user(request, f"Closed at the market price: {', '.join(closed)}.", messages.SUCCESS)

    def _warn(self, request: HttpRequest, position: Position, reason: str) -> None:
        self.message_user(request, f"Not closed: {position}: {reason}.", messages.WARNING)


class EventChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Not by a join: the events of agents that are gone would be, too.
        names = dict(
            Agent.objects.filter(pk__in={row.agent_id for row in self.result_list}).values_list("pk", "name")
        )
        for row in self.result_list:
            row.agent_name = names.get(row.agent_id, UNKNOWN)


@admin.register(PositionEvent)
class PositionEventAdmin(EventModelAdmin):
    """To look at only: clients rely on these rows being what was sent."""

    list_display = ("created_at", "agent_name", "seq", "event_type", "position_link")
    list_filter = ("event_type", ("agent", admin.RelatedOnlyFieldListFilter))
    search_fields = ("position_id",)
    ordering = ("-created_at", "-seq")
    show_full_result_count = False
    fields = readonly_fields = (
        "agent_name",
        "agent_id",
        "seq",
        "event_type",
        "position_link",
        "data",
        "created_at",
    )

    @admin.display(description="agent")
    def agent_name(self, event: PositionEvent) -> str:
        name: str | None = getattr(event, "agent_name", None)
        return (
            name or Agent.objects.filter(pk=event.agent_id).values_list("name", flat=True).first() or UNKNOWN
        )

    @admin.display(description="position")
    def position_link(self, event: PositionEvent) -> SafeString:
        url = reverse("admin:positions_position_change", args=[event.position_id])
        return format_html('<a href="{}">{}</a>', url, event.position_id)

    @admin.display(description="position after the change")
    def data(self, event: PositionEvent) -> str:
        if event.position is None:
            return UNKNOWN
        return format_html("<pre>{}</pre>", json.dumps(event.position, indent=2))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EventChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: PositionEvent | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PositionEvent | None = None) -> bool:
        return False
