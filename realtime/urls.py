"""The pages, the REST API and what monitoring asks for. A project includes it anywhere:

path("nexgent/", include("realtime.urls"))
"""

from django.urls import include, path, re_path

from positions.api.overview import tell_connected
from realtime.hub.owners import owned_agents
from realtime.paths import API, NAMESPACE
from realtime.web import health
from realtime.web.asyncapi_page import asyncapi_yaml
from realtime.web.metrics_page import metrics
from realtime.web.views import dashboard, offline, offline_worker

app_name = NAMESPACE

# The overview of agents says which of them are connected.
tell_connected(owned_agents)

UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

urlpatterns = [
    path("", dashboard, name="dashboard"),
    # One shell for every address: its script reads the address, and asks as the user who is logged in.
    re_path(rf"^agents/(?P<agent_id>{UUID})/?$", dashboard, name="agent-page"),
    re_path(
        rf"^agents/(?P<agent_id>{UUID})/positions/(?P<position_id>{UUID})/?$", dashboard, name="position-page"
    ),
    path(f"{API}asyncapi.yaml", asyncapi_yaml, name="asyncapi"),
    path(API, include("positions.accounts.urls")),
    path(API, include("positions.api.urls")),
    path("health", health.health),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", metrics),
    path("offline", offline, name="offline"),
    path("offline-worker.js", offline_worker, name="offline-worker"),
]
