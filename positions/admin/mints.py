"""The admin's page of mints: how many decimals amounts of each token have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest

from positions.models import Mint

if TYPE_CHECKING:
    MintModelAdmin = admin.ModelAdmin[Mint]
else:
    MintModelAdmin = admin.ModelAdmin


@admin.register(Mint)
class MintAdmin(MintModelAdmin):
    """To be entered if no source reports them: amounts are rounded to these decimals when they are booked."""

    list_display = ("address", "decimals")
    search_fields = ("address",)
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: Mint | None = None) -> tuple[str, ...]:
        return ("address",) if obj else ()  # another address would be another row
