"""The filter of positions by take-profits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from positions.models import Position

if TYPE_CHECKING:
    PositionModelAdmin = admin.ModelAdmin[Position]
else:
    PositionModelAdmin = admin.ModelAdmin


class TakeProfitFilter(admin.SimpleListFilter):
    title = "take-profits"
    parameter_name = "take_profit"

    def lookups(self, request: HttpRequest, model_admin: PositionModelAdmin) -> list[tuple[str, str]]:
        return [
            ("none", "No level hit"),
            ("some", "At least one"),
            ("planned", "Levels left in the plan"),
            ("all", "All of the plan"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "none":
                return queryset.filter(take_profit_levels_hit=0)
            case "some":
                return queryset.filter(take_profit_levels_hit__gt=0)
            case "planned":
                return queryset.filter(total_take_profit_levels__gt=F("take_profit_levels_hit"))
            case "all":
                return queryset.filter(total_take_profit_levels__lte=F("take_profit_levels_hit"))
        return queryset
