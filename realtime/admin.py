"""Extends the admin of `positions` with what only this package knows: sockets, and figures on the start page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from positions.admin import AgentAdmin
from positions.admin.values import UNKNOWN
from positions.models import Agent
from positions.valkey import Unavailable
from realtime.hub.presence import connected_agents
from realtime.publish.broadcast import publish_disconnects


def connection_states(agents: list[Agent]) -> dict[UUID, str]:
    """Return for each agent whether a socket of it is open: "yes", "no", or "—" where Valkey is unavailable."""
    try:
        connected = connected_agents([agent.pk for agent in agents])
    except Unavailable:
        return {agent.pk: UNKNOWN for agent in agents}
    return {agent.pk: "yes" if agent.pk in connected else "no" for agent in agents}


class ConnectedChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        states = connection_states(list(self.result_list))
        for agent in self.result_list:
            agent.connection_state = states[agent.pk]


class ConnectedAgentAdmin(AgentAdmin):
    list_display = (*AgentAdmin.list_display, "connected")
    readonly_fields = (*AgentAdmin.readonly_fields, "connected")

    actions = ("disconnect_selected",)

    @admin.action(description="Disconnect the sockets of selected agents", permissions=["change"])
    def disconnect_selected(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        agents = list(queryset.order_by())
        try:
            connected = connected_agents([agent.pk for agent in agents])
        except Unavailable:
            self.message_user(
                request, "Redis or Valkey cannot be reached: no socket was disconnected.", messages.ERROR
            )
            return
        publish_disconnects([agent.pk for agent in agents if agent.pk in connected])
        for agent in agents:
            if agent.pk in connected:
                self.log_change(request, agent, "Disconnected its socket.")
        text = f"{len(connected)} of {len(agents)} agents had a socket, which will reconnect."
        self.message_user(request, text, messages.SUCCESS if connected else messages.WARNING)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConnectedChangeList

    def connected(self, agent: Agent) -> str:
        state: str | None = getattr(agent, "connection_state", None)
        return state or connection_states([agent])[agent.pk]


admin.site.index_template = "realtime/admin_index.html"
admin.site.unregister(Agent)
admin.site.register(Agent, ConnectedAgentAdmin)
