"""The admin's pages of the event log: read-only, since these rows are what was sent to clients."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from positions.admin.export import Columns, as_csv
from positions.admin.links import AgentFilter, to_page
from positions.admin.values import UNKNOWN
from positions.models import Agent, PositionEvent

if TYPE_CHECKING:
    EventModelAdmin = admin.ModelAdmin[PositionEvent]
else:
    EventModelAdmin = admin.ModelAdmin

EVENT_COLUMNS: Columns = [
    *((name, attrgetter(name)) for name in ("created_at", "agent_id", "seq", "event_type", "position_id")),
    ("position", lambda event: event.position and json.dumps(event.position)),
    ("note", attrgetter("note")),
]


class EventChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Not by a join: it would drop the events of deleted agents.
        rows: Any = self.result_list
        names = dict(Agent.objects.filter(pk__in={row.agent_id for row in rows}).values_list("pk", "name"))
        for row in rows:
            row.agent_known_as = names.get(row.agent_id)


@admin.register(PositionEvent)
class PositionEventAdmin(EventModelAdmin):
    list_display = ("created_at", "agent_name", "seq", "event_type", "position_link", "note")
    list_filter = ("event_type", AgentFilter)
    search_fields = ("position_id",)
    actions = ("export_selected",)
    ordering = ("-created_at", "-seq")
    show_full_result_count = False
    fields = readonly_fields = (
        "agent_name",
        "agent_id",
        "seq",
        "event_type",
        "position_link",
        "note",
        "data",
        "created_at",
    )

    @admin.display(description="agent")
    def agent_name(self, event: PositionEvent) -> SafeString | str:
        if not hasattr(event, "agent_known_as"):
            name = Agent.objects.filter(pk=event.agent_id).values_list("name", flat=True).first()
        else:
            name = event.agent_known_as
        return to_page("agent", event.agent_id, name) if name else UNKNOWN

    @admin.display(description="position")
    def position_link(self, event: PositionEvent) -> SafeString:
        return to_page("position", event.position_id, event.position_id)

    @admin.display(description="position after the change")
    def data(self, event: PositionEvent) -> str:
        if event.position is None:
            return UNKNOWN
        return format_html("<pre>{}</pre>", json.dumps(event.position, indent=2))

    @admin.action(description="Export selected events as CSV", permissions=["view"])
    def export_selected(
        self, request: HttpRequest, queryset: QuerySet[PositionEvent]
    ) -> StreamingHttpResponse:
        return as_csv(queryset, EVENT_COLUMNS, name="events")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EventChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: PositionEvent | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PositionEvent | None = None) -> bool:
        return False
