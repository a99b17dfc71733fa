"""Adds to the admin of agents whether a socket is connected: `positions`, whose admin it is, knows of no sockets."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest

from positions.admin import AgentAdmin
from positions.admin_values import UNKNOWN
from positions.models import Agent
from positions.valkey import Unavailable
from realtime.presence import connected_agents


def connection_states(agents: list[Agent]) -> dict[UUID, str]:
    """Return for each agent whether a socket of it is open: "yes", "no", or "—" where Valkey is away."""
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

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConnectedChangeList

    def connected(self, agent: Agent) -> str:
        state: str | None = getattr(agent, "connection_state", None)
        return state or connection_states([agent])[agent.pk]


admin.site.unregister(Agent)
admin.site.register(Agent, ConnectedAgentAdmin)
