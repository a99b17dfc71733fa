"""Migrating positions to another mint by hand: a page that asks which, then each position."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from positions.admin.closing import ask, chosen
from positions.books.symbols import LONGEST
from positions.errors import PositionsError
from positions.models import Position
from positions.models.fields import NumberFormField
from positions.services import migrate_token


class MintForm(forms.Form):
    mint = forms.CharField(max_length=64, widget=forms.TextInput(attrs={"size": 60}))
    symbol = forms.CharField(max_length=LONGEST, required=False, label="Symbol, if it changes")
    ratio = NumberFormField(
        max_digits=42, decimal_places=30, initial=1, label="How many new tokens each old one became"
    )


def migrate_to_mint(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Position]
) -> TemplateResponse | None:
    """Ask for the new mint, or, once it is given, follow. Reports the outcome for each position."""
    positions = chosen(model_admin, request, queryset)
    form = MintForm(request.POST if "mint" in request.POST else None)
    if positions and form.is_valid():
        _migrate(model_admin, request, positions, form.cleaned_data)
    elif positions:
        return ask(
            model_admin,
            request,
            positions,
            form,
            action="migrate_selected",
            title="Migrate to another mint?",
            note="Amounts are multiplied by the ratio and prices divided by it; the cost does not change.",
            button="Follow",
        )
    return None


def _migrate(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, positions: list[Position], to: dict[str, Any]
) -> None:
    for position in positions:
        try:
            result = migrate_token(
                position_id=position.pk,
                token_address=to["mint"],
                token_symbol=to["symbol"] or None,
                ratio=to["ratio"],
            )
        except PositionsError as error:
            text = f"Not migrated: {position}: {error.message}."
            model_admin.message_user(request, text, messages.WARNING)
        except Position.DoesNotExist:
            text = f"Not migrated: {position}: it no longer exists."
            model_admin.message_user(request, text, messages.WARNING)
        else:
            model_admin.log_change(request, result, f"Migrated from {position.token_address} to {to['mint']}")
            model_admin.message_user(request, f"{position} is now {result}.", messages.SUCCESS)
