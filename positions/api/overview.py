"""`GET /api/overview/`: all agents of the caller at a glance."""

from __future__ import annotations

from collections.abc import Callable, Collection
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from positions.api import operations
from positions.api.filters import check_parameters
from positions.api.owned import caller
from positions.api.rules import Rules
from positions.api.wire_overview import overview_on_rest
from positions.history.overview import overview
from positions.valkey import Unavailable

Connected = Callable[[Collection[UUID]], Collection[UUID]]

_connected: list[Connected] = []


def tell_connected(function: Connected) -> None:
    """Have this function say which of the agents are connected: sockets are not known here."""
    _connected[:] = [function]


class OverviewView(Rules):
    @operations.overview
    def get(self, request: Request) -> Response:
        check_parameters(request, once=())
        seen = overview(caller(request))
        return Response(overview_on_rest(seen, _which([each.agent.pk for each in seen.agents])))


def _which(agents: list[UUID]) -> Collection[UUID] | None:
    """Return which of the agents are connected; None where that is unknown."""
    try:
        return _connected[0](agents) if _connected else None
    except Unavailable:
        return None
