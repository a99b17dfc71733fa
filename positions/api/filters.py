"""The parameters of a query string: filters, pages, counters.

A parameter that is unknown, repeated or invalid is an error that names it: a filter that is silently ignored would
return positions that were not asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.db.models import F, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from positions.api.moments import read_moment
from positions.books.trades import Side
from positions.models import Position, Trade, Wallet

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
MAX_TOKENS = 200  # in one request for prices
LARGEST = 2**63 - 1  # of a bigint
MOST_HIT = 2**31 - 1  # of an integer column
YES_OR_NO = {"true": True, "false": False}
PAGE_PARAMETERS = {"limit", "offset", "cursor"}


def check_parameters(request: Request, *, once: Collection[str], often: Collection[str] = ()) -> None:
    """Raise ValidationError unless the query string has only these names, those in `once` at most once."""
    errors = {}
    for name, values in request.query_params.lists():
        if name not in once and name not in often:
            errors[name] = ["Unknown parameter."]
        elif name in once and len(values) > 1:
            errors[name] = ["Give this parameter only once."]
    if errors:
        raise ValidationError(errors)


def whole_number(request: Request, name: str, *, default: int, minimum: int, maximum: int) -> int:
    """Return the query's parameter. Raises ValidationError."""
    text = request.query_params.get(name)
    if text is None:
        return default
    # int() alone takes "1_000" and the digits of other scripts, too.
    if text.isascii() and text.isdigit() and len(text) <= 20 and minimum <= int(text) <= maximum:
        return int(text)
    raise ValidationError({name: [f"This must be a whole number from {minimum} to {maximum}."]})


def limit_of(request: Request) -> int:
    return whole_number(request, "limit", default=DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)


def position_of(request: Request) -> UUID | None:
    """Return the query's `position`, None without one. Raises ValidationError."""
    text = request.query_params.get("position")
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise ValidationError({"position": ["Enter a valid UUID."]}) from None


class WalletFilter(django_filters.FilterSet):  # type: ignore[misc]
    agent = django_filters.UUIDFilter(field_name="agent_id")

    class Meta:
        model = Wallet
        fields = ["agent"]


class PositionFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Addresses are case-sensitive, symbols are not."""

    agent = django_filters.UUIDFilter(field_name="agent_id")
    wallet = django_filters.CharFilter(field_name="wallet__address", max_length=64)
    token = django_filters.CharFilter(field_name="token_address", max_length=64)
    symbol = django_filters.CharFilter(field_name="token_symbol", lookup_expr="iexact", max_length=32)
    status = django_filters.ChoiceFilter(
        choices=[*Position.Status.choices, ("all", "All")], method="by_status"
    )
    ordering = django_filters.ChoiceFilter(
        choices=[
            ("createdAt", "Oldest first"),
            ("-createdAt", "Newest first"),
            ("closedAt", "Closed first"),
            ("-closedAt", "Closed last"),
        ],
        method="by_time",
    )

    class Meta:
        model = Position
        fields = ["agent", "wallet", "token", "symbol", "status", "ordering"]

    def filter_queryset(self, queryset: QuerySet[Position]) -> Any:
        if not self.form.cleaned_data["status"]:
            queryset = queryset.filter(status=Position.Status.OPEN)
        return super().filter_queryset(queryset)

    def by_status(self, queryset: QuerySet[Position], name: str, value: str) -> QuerySet[Position]:
        return queryset if value == "all" else queryset.filter(status=value)

    def by_time(self, queryset: QuerySet[Position], name: str, value: str) -> QuerySet[Position]:
        sign, name = ("-", value[1:]) if value.startswith("-") else ("", value)
        moment = F({"createdAt": "created_at", "closedAt": "closed_at"}[name])
        # What is open has no closing time, and comes last either way; databases differ about it.
        by_moment = moment.desc(nulls_last=True) if sign else moment.asc(nulls_last=True)
        return queryset.order_by(by_moment, f"{sign}id")


class WholeField(forms.CharField):
    """Digits: forms.IntegerField takes `1.0` and the digits of other scripts, too."""

    def to_python(self, value: Any) -> Any:
        if not value:
            return None
        if value.isascii() and value.isdigit() and len(value) <= 20 and int(value) <= MOST_HIT:
            return int(value)
        raise forms.ValidationError(f"This must be a whole number from 0 to {MOST_HIT}.")


class WholeFilter(django_filters.Filter):  # type: ignore[misc]
    field_class = WholeField


class YesOrNoFilter(django_filters.ChoiceFilter):  # type: ignore[misc]
    """`true`, or `false` for all others."""

    def __init__(self, condition: Q) -> None:
        super().__init__(choices=[(each, each) for each in YES_OR_NO])
        self._condition = condition

    def filter(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        if value not in YES_OR_NO:
            return queryset
        return queryset.filter(self._condition if YES_OR_NO[value] else ~self._condition)


# Names of the query, which would be none of attributes.
PositionFilter.base_filters["takeProfit"] = YesOrNoFilter(Q(take_profit_levels_hit__gt=0))
PositionFilter.base_filters["takeProfitLevelsHit"] = WholeFilter(field_name="take_profit_levels_hit")
PositionFilter.base_filters["moonBag"] = YesOrNoFilter(Q(moon_bag_activated=True))


class MomentField(forms.CharField):
    def to_python(self, value: Any) -> Any:
        if not value:
            return None
        try:
            return read_moment(value)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


class MomentFilter(django_filters.Filter):  # type: ignore[misc]
    field_class = MomentField


class TradeFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Newest first, unless `ordering` says otherwise."""

    agent = django_filters.UUIDFilter(field_name="position__agent_id")
    wallet = django_filters.CharFilter(field_name="wallet__address", max_length=64)
    position = django_filters.UUIDFilter(field_name="position_id")
    token = django_filters.CharFilter(field_name="position__token_address", max_length=64)
    side = django_filters.ChoiceFilter(choices=[(side, side) for side in Side])
    ordering = django_filters.ChoiceFilter(
        choices=[("executedAt", "Oldest first"), ("-executedAt", "Newest first")], method="by_time"
    )

    class Meta:
        model = Trade
        fields = ["agent", "wallet", "position", "token", "side", "ordering"]

    def by_time(self, queryset: QuerySet[Trade], name: str, value: str) -> QuerySet[Trade]:
        sign = "-" if value.startswith("-") else ""
        return queryset.order_by(f"{sign}executed_at", f"{sign}recorded_at", f"{sign}id")


# `from` is no name for an attribute.
TradeFilter.base_filters["from"] = MomentFilter(field_name="executed_at", lookup_expr="gte")
TradeFilter.base_filters["to"] = MomentFilter(field_name="executed_at", lookup_expr="lt")


def filtered(request: Request, queryset: QuerySet[Any], filter_class: Any) -> QuerySet[Any]:
    """Return the rows that the query string asks for; no `filter_class`, all. Raises ValidationError."""
    known = set(filter_class.base_filters) if filter_class else set()
    check_parameters(request, once=known | PAGE_PARAMETERS)
    # django-filter ignores a filter whose value is empty.
    empty = [
        name for name in request.query_params if name in known and not request.query_params[name].strip()
    ]
    if empty:
        raise ValidationError({name: ["This may not be empty."] for name in empty})
    if filter_class is None:
        return queryset
    filters = filter_class(request.query_params, queryset=queryset, request=request)
    if not filters.is_valid():
        raise ValidationError({name: list(messages) for name, messages in filters.errors.items()})
    rows: QuerySet[Any] = filters.qs
    return rows
