"""Links between the admin's pages: agent, wallets, positions, events."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin import AdminSite, SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from positions.models import Agent


def to_page(model: str, key: object, text: object) -> SafeString:
    """Return a link to the page of one row of `model` (a name in lower case)."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:positions_{model}_change", args=[key]), text)


def to_list(model: str, text: object, **filters: object) -> SafeString:
    """Return a link to the list of `model`, filtered."""
    path = reverse(f"admin:positions_{model}_changelist")
    return format_html('<a href="{}?{}">{}</a>', path, urlencode(filters), text)


class ChoosesUser:
    """Of a page's class: its field of a user is searched where the project has a page of users, else typed as an id."""

    admin_site: AdminSite
    user_field: ClassVar[str]

    @property
    def autocomplete_fields(self) -> tuple[str, ...]:
        return (self.user_field,) if self._can_search() else ()

    @property
    def raw_id_fields(self) -> tuple[str, ...]:
        return () if self._can_search() else (self.user_field,)

    def _can_search(self) -> bool:
        page = self.admin_site._registry.get(get_user_model())
        return page is not None and bool(page.search_fields)


class AgentFilter(SimpleListFilter):
    """Rows of one agent, set by a link. Lists no choices: thousands of agents would fill the page."""

    title = "agent"
    parameter_name = "agent__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self._agent_id, self._name())] if self.value() else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(agent_id=self._agent_id) if self.value() else queryset

    @property
    def _agent_id(self) -> str:
        try:
            return str(UUID(self.value() or ""))
        except ValueError as error:
            raise IncorrectLookupParameters(str(error)) from error

    def _name(self) -> str:
        return (
            Agent.objects.filter(pk=self._agent_id).values_list("name", flat=True).first() or self._agent_id
        )
