"""Closing positions by hand: a page that asks for the reason, then each at its market price."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from positions.admin.values import signed
from positions.books.accounting import digits
from positions.errors import PositionsError, PriceUnknown
from positions.models import Position
from positions.services import close_position

MOST_AT_ONCE = 200
"""Each is a transaction of its own, and a line on the page."""


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=200, initial="closed in the admin", widget=forms.TextInput(attrs={"size": 60})
    )


def close_with_reason(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Position]
) -> TemplateResponse | None:
    """Ask for the reason, or, once it is given, close. Reports the outcome for each position."""
    positions = chosen(model_admin, request, queryset)
    form = ReasonForm(request.POST if "reason" in request.POST else None)
    if positions and form.is_valid():
        _close(model_admin, request, positions, form.cleaned_data["reason"])
    elif positions:
        return ask(
            model_admin,
            request,
            positions,
            form,
            action="close_selected",
            title="Close at the market price?",
            note="Positions whose market price is not live stay open.",
            button="Close",
        )
    return None


def chosen(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Position]
) -> list[Position]:
    """Return the positions to work on; none, and say so, where they are too many."""
    positions = list(queryset[: MOST_AT_ONCE + 1])
    if len(positions) > MOST_AT_ONCE:
        model_admin.message_user(request, f"At most {MOST_AT_ONCE} positions at once.", messages.ERROR)
        return []
    return positions


def ask(
    model_admin: admin.ModelAdmin[Any],
    request: HttpRequest,
    positions: list[Position],
    form: forms.Form,
    **texts: str,
) -> TemplateResponse:
    """Return the page that asks for what an action needs to know. `texts`: action, title, note and button."""
    context = {
        **model_admin.admin_site.each_context(request),
        **texts,
        "opts": model_admin.opts,
        "rows": [(position, digits(position.remaining_amount)) for position in positions],
        "form": form,
        "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        "media": model_admin.media,
    }
    return TemplateResponse(request, "positions/admin_action.html", context)


def _close(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, positions: list[Position], reason: str
) -> None:
    closed = []
    for position in positions:
        try:
            result = close_position(position_id=position.pk, reason=reason)
        except PriceUnknown as error:
            _warn(model_admin, request, position, error.message.partition(":")[0])
        except PositionsError as error:
            _warn(model_admin, request, position, error.message)
        except Position.DoesNotExist:
            _warn(model_admin, request, position, "it no longer exists")
        else:
            model_admin.log_change(request, result, f"Closed: {reason}")
            closed.append(f"{position} (realised {signed(digits(result.realized_profit_sol))} SOL in all)")
    if closed:
        text = f"Closed at the market price: {', '.join(closed)}."
        model_admin.message_user(request, text, messages.SUCCESS)


def _warn(model_admin: admin.ModelAdmin[Any], request: HttpRequest, position: Position, why: str) -> None:
    model_admin.message_user(request, f"Not closed: {position}: {why}.", messages.WARNING)
