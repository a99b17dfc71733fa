"""Extends the admin of `positions` with what only this package knows: sockets, and figures on the start page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from positions.admin import AgentAdmin, PositionAdmin, usage
from positions.admin.values import UNKNOWN
from positions.models import Agent, Position
from positions.valkey import Unavailable
from realtime.conf import conf
from realtime.hub.ownership import sockets_of_users
from realtime.hub.presence import Connected, connected
from realtime.paths import NAMESPACE
from realtime.publish.broadcast import publish_disconnects


def connection_states(agents: list[Agent]) -> dict[UUID, str]:
    """Return which sockets each agent has: "1 owner, 2 watchers", "no", or "—" where Valkey is unavailable."""
    try:
        found = connected([agent.pk for agent in agents])
    except Unavailable:
        return {agent.pk: UNKNOWN for agent in agents}
    return {agent_id: str(sockets) for agent_id, sockets in found.items()}


class ConnectedChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        states = connection_states(list(self.result_list))
        for agent in self.result_list:
            agent.connection_state = states[agent.pk]


class ConnectedAgentAdmin(AgentAdmin):
    list_display = (*AgentAdmin.list_display, "connected")
    readonly_fields = (*AgentAdmin.readonly_fields, "connected")

    actions = ("disconnect_selected", "disconnect_watchers")

    def view_on_site(self, obj: Agent) -> str:
        """Return the address of the page, which shows it to its owner."""
        return reverse(f"{NAMESPACE}:agent-page", args=[obj.pk])

    @admin.action(description="Disconnect the owning sockets of selected agents", permissions=["change"])
    def disconnect_selected(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        self._disconnect(request, queryset, "owning socket", lambda sockets: sockets.owners)

    @admin.action(description="Disconnect the watchers of selected agents", permissions=["change"])
    def disconnect_watchers(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        self._disconnect(request, queryset, "watcher", lambda sockets: sockets.watchers)

    def _disconnect(
        self,
        request: HttpRequest,
        queryset: QuerySet[Agent],
        what: str,
        count: Callable[[Connected], int],
    ) -> None:
        agents = list(queryset.order_by())
        try:
            found = connected([agent.pk for agent in agents])
        except Unavailable:
            self.message_user(
                request, "Redis or Valkey cannot be reached: no socket was disconnected.", messages.ERROR
            )
            return
        counts = {agent: count(found[agent.pk]) for agent in agents if count(found[agent.pk])}
        publish_disconnects([agent.pk for agent in counts], watchers=what == "watcher")
        for agent, number in counts.items():
            self.log_change(request, agent, f"Disconnected {_counted(number, what)}.")
        text = (
            f"{_counted(sum(counts.values()), what)} of {_counted(len(agents), 'agent')} disconnected;"
            " clients reconnect by themselves."
        )
        self.message_user(request, text, messages.SUCCESS if counts else messages.WARNING)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConnectedChangeList

    def connected(self, agent: Agent) -> str:
        state: str | None = getattr(agent, "connection_state", None)
        return state or connection_states([agent])[agent.pk]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


usage.COLUMNS.insert(-2, usage.Column("sockets", "sockets", lambda _: conf.USER_SOCKETS))
usage.MORE["sockets"] = sockets_of_users


class LinkedPositionAdmin(PositionAdmin):
    def view_on_site(self, obj: Position) -> str:
        return reverse(f"{NAMESPACE}:position-page", args=[obj.agent_id, obj.pk])


admin.site.index_template = "realtime/admin_index.html"
admin.site.unregister([Agent, Position])
admin.site.register(Position, LinkedPositionAdmin)
admin.site.register(Agent, ConnectedAgentAdmin)
