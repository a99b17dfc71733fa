from django.contrib import admin
from django.urls import include, path

from realtime import health
from realtime.asyncapi import asyncapi_yaml
from realtime.metrics_page import metrics
from realtime.session_views import SessionRefreshView, SessionView
from realtime.views import dashboard, offline, offline_worker

handler403 = "realtime.views.forbidden"
handler404 = "realtime.views.not_found"
handler500 = "realtime.views.server_error"

urlpatterns = [
    path("", dashboard, name="dashboard"),
    path("admin/", admin.site.urls),
    path("api/asyncapi.yaml", asyncapi_yaml, name="asyncapi"),
    path("api/session/", SessionView.as_view(), name="session"),
    path("api/session/refresh/", SessionRefreshView.as_view(), name="session-refresh"),
    path("api/", include("positions.api.urls")),
    path("health", health.health),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", metrics),
    path("offline", offline, name="offline"),
    path("offline-worker.js", offline_worker, name="offline-worker"),
]
