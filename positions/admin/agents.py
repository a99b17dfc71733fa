"""The admin's pages of agents and their wallets, with what their positions are worth.

All writes go through the models: a change made here becomes an event like any other. `realtime.admin`
adds to AgentAdmin whether a socket is connected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest
from django.utils.safestring import SafeString

from positions.admin.links import ChoosesUser, to_list, to_page
from positions.admin.values import UNKNOWN, VALUE_COLUMNS, ValueColumns, value_rows
from positions.admin.within_quotas import AgentForm, WalletForm, WalletFormSet
from positions.models import Agent, Position, Wallet

if TYPE_CHECKING:
    AgentModelAdmin = admin.ModelAdmin[Agent]
    WalletModelAdmin = admin.ModelAdmin[Wallet]
    WalletTabularInline = admin.TabularInline[Wallet, Agent]
    PositionTabularInline = admin.TabularInline[Position, Agent]
    PositionInlineFormSet = BaseInlineFormSet[Position, Agent, ModelForm[Position]]
else:
    AgentModelAdmin = WalletModelAdmin = admin.ModelAdmin
    WalletTabularInline = PositionTabularInline = admin.TabularInline
    PositionInlineFormSet = BaseInlineFormSet


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
