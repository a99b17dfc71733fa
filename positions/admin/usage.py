"""The admin's page of quotas: who takes what, of all users, beside what each may have.

Everything is counted for all users at once, then sorted and cut into pages here: the same few queries for ten users as
for ten thousand, whichever column is sorted by.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from positions.accounts.buckets import requests_within_a_minute
from positions.admin.links import ChoosesUser
from positions.admin.values import UNKNOWN
from positions.models import Agent, Position, Quota, Wallet
from positions.prices.asked import get_asked
from positions.services.quotas import Limits, limits_of
from positions.valkey import Unavailable

if TYPE_CHECKING:
    QuotaModelAdmin = admin.ModelAdmin[Quota]
else:
    QuotaModelAdmin = admin.ModelAdmin

ROWS_PER_PAGE = 100
NEAR = 0.8
"""From this part of a limit on, a figure is marked."""

Figures = Mapping[Any, float]
"""By user; 0 for those who are not in it."""


class Column(NamedTuple):
    name: str
    title: str
    limit: Callable[[Limits], float]
    """What a user may have; 0: no limit."""


COLUMNS = [
    Column("agents", "agents", lambda limits: limits.agents),
    Column("wallets", "wallets", lambda limits: limits.wallets),
    Column("positions", "open positions", lambda limits: limits.positions),
    Column("tokens", "tokens", lambda limits: limits.tokens),
    Column("requests", "requests in the last minute", lambda limits: 60 * limits.requests_per_second),
    Column("share", "% of the price API's requests", lambda limits: 0),
]
MORE: dict[str, Callable[[Collection[int]], Figures]] = {}
"""Figures of columns that `realtime.admin` adds. Each raises valkey.Unavailable."""


class Cell(NamedTuple):
    text: str
    mark: str
    """`near`, `reached` or nothing."""


def figures(user_ids: Collection[int]) -> dict[str, Figures | None]:
    """Return every column's figures; None where Redis or Valkey has them and is unavailable. Three queries."""
    agents = Agent.objects.order_by().values("owner_id").annotate(number=Count("pk"))
    wallets = Wallet.objects.order_by().values("agent__owner_id").annotate(number=Count("pk"))
    held = Position.objects.open().order_by().values("agent__owner_id")
    held = held.annotate(number=Count("pk"), tokens=Count("token_address", distinct=True))
    rows = list(held)
    return {
        "agents": {row["owner_id"]: row["number"] for row in agents},
        "wallets": {row["agent__owner_id"]: row["number"] for row in wallets},
        "positions": {row["agent__owner_id"]: row["number"] for row in rows},
        "tokens": {row["agent__owner_id"]: row["tokens"] for row in rows},
        "requests": _of_valkey(requests_within_a_minute),
        "share": _of_valkey(_shares),
        **{name: _of_valkey(partial(read, user_ids)) for name, read in MORE.items()},
    }


def _of_valkey(read: Callable[[], Figures]) -> Figures | None:
    try:
        return read()
    except Unavailable:
        return None


def _shares() -> Figures:
    asked = get_asked()
    key = get_user_model()._meta.pk
    return {key.to_python(user): round(100 * asked.share(user), 1) for user in asked.owners} if asked else {}


@admin.register(Quota)
class QuotaAdmin(ChoosesUser, QuotaModelAdmin):  # type: ignore[misc]
    """A user's own quotas. The list is that of all users, with what they take."""

    user_field = "user"

    def get_readonly_fields(self, request: HttpRequest, obj: Quota | None = None) -> tuple[str, ...]:
        return ("user",) if obj else ()  # it is the key

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        names = [column.name for column in COLUMNS]
        wanted, ordering = request.GET.get("q", "").strip(), request.GET.get("o", "-positions")
        if ordering.removeprefix("-") not in {"user", *names}:
            ordering = "-positions"
        name = get_user_model().USERNAME_FIELD
        users = get_user_model()._base_manager.select_related("quota").order_by(name)
        found = list(users.filter(**{f"{name}__icontains": wanted}) if wanted else users)
        known = figures([user.pk for user in found])
        rows = [(user, limits_of(user)) for user in found]
        if ordering.removeprefix("-") != "user":
            of_column = known[ordering.removeprefix("-")] or {}
            rows.sort(key=lambda row: of_column.get(row[0].pk, 0), reverse=ordering.startswith("-"))
        elif ordering == "-user":
            rows.reverse()
        if "near" in request.GET:
            rows = [row for row in rows if any(cell.mark for cell in _cells(*row, known))]
        page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("p"))
        query = {name: request.GET[name] for name in ("q", "near") if name in request.GET}
        context = {
            **self.admin_site.each_context(request),
            "title": "Quotas and what each user takes",
            "opts": self.opts,
            "columns": _headings(ordering, query),
            "rows": [(user, self._link(request, user), _cells(user, limits, known)) for user, limits in page],
            "page": page,
            "pages": f"?{urlencode({**query, 'o': ordering})}&p=",
            "q": wanted,
            "near": "near" in query,
            "is_complete": None not in known.values(),
        }
        return TemplateResponse(request, "positions/usage.html", context)

    def _link(self, request: HttpRequest, user: Any) -> str:
        """Return the address of the page of the user's own quotas, or of one to give it some."""
        if hasattr(user, "quota"):
            return reverse("admin:positions_quota_change", args=[user.pk])
        if not self.has_add_permission(request):
            return ""
        return f"{reverse('admin:positions_quota_add')}?{urlencode({'user': user.pk})}"


def _headings(ordering: str, query: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return each column's title, the address that sorts by it, and which way it is sorted now."""
    headings = []
    for name, title in [("user", "user"), *((column.name, column.title) for column in COLUMNS)]:
        is_sorted = ordering.removeprefix("-") == name
        first = name if name == "user" else f"-{name}"
        other = ordering[1:] if ordering.startswith("-") else f"-{ordering}"
        arrow = ("▼" if ordering.startswith("-") else "▲") if is_sorted else ""
        headings.append((title, f"?{urlencode({**query, 'o': other if is_sorted else first})}", arrow))
    return headings


def _cells(user: Any, limits: Limits, known: Mapping[str, Figures | None]) -> list[Cell]:
    cells = []
    for column in COLUMNS:
        of_column = known[column.name]
        if of_column is None:
            cells.append(Cell(UNKNOWN, ""))
            continue
        number, limit = of_column.get(user.pk, 0), column.limit(limits)
        mark = "" if not limit or number < NEAR * limit else "near" if number < limit else "reached"
        cells.append(Cell(f"{number:g} of {limit:g}" if limit else f"{number:g}", mark))
    return cells
