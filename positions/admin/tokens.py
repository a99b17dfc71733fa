"""The admin's list of tokens: a row for each login and each `issue_token`, which can be revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from positions.accounts.families import Ending, end
from positions.admin.links import to_list
from positions.models import TokenFamily

if TYPE_CHECKING:
    TokenModelAdmin = admin.ModelAdmin[TokenFamily]
else:
    TokenModelAdmin = admin.ModelAdmin


class StateFilter(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: TokenModelAdmin) -> list[tuple[str, str]]:
        return [("valid", "valid"), ("over", "ended or expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TokenFamily]) -> QuerySet[TokenFamily]:
        valid = {"ended_at": None, "expires_at__gt": timezone.now()}
        if self.value() == "valid":
            return queryset.filter(**valid)
        return queryset.exclude(**valid) if self.value() == "over" else queryset


@admin.register(TokenFamily)
class TokenFamilyAdmin(TokenModelAdmin):
    """No token is shown: none is stored."""

    list_display = ("of", "owner", "kind", "read_only", "created_at", "last_used_at", "expires_at", "state")
    list_filter = (StateFilter, "kind", "read_only")
    list_select_related = ("user",)
    search_fields = ("name", f"user__{get_user_model().USERNAME_FIELD}", "=id")
    show_full_result_count = False
    actions = ("revoke_selected",)
    fields = readonly_fields = (
        *("id", "owner", "kind", "name", "read_only", "created_at", "last_used_at"),
        *("expires_at", "ends_at", "ended_at", "state"),
    )

    @admin.display(description="token", ordering="name")
    def of(self, family: TokenFamily) -> str:
        return family.name or str(family.pk)

    @admin.display(description="user", ordering=f"user__{get_user_model().USERNAME_FIELD}")
    def owner(self, family: TokenFamily) -> SafeString:
        return to_list("tokenfamily", family.user.get_username(), user__id__exact=family.user_id)

    @admin.display(description="state", ordering="ended_at")
    def state(self, family: TokenFamily) -> str:
        return family.state

    @admin.action(description="Revoke selected tokens", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[TokenFamily]) -> None:
        families = list(queryset.filter(ended_at=None).order_by())
        count = end(TokenFamily.objects.filter(pk__in=[family.pk for family in families]), Ending.REVOKED)
        for family in families:
            self.log_change(request, family, "Revoked.")
        text = f"{count} of {queryset.count()} tokens revoked, their sockets closed."
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
