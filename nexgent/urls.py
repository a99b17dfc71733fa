from django.contrib import admin
from django.urls import include, path

from realtime.web import health
from realtime.web.asyncapi_page import asyncapi_yaml
from realtime.web.metrics_page import metrics
from realtime.web.views import dashboard, offline, offline_worker

handler403 = "realtime.web.views.forbidden"
handler404 = "realtime.web.views.not_found"
handler500 = "realtime.web.views.server_error"

urlpatterns = [
    path("", dashboard, name="dashboard"),
    path("admin/", admin.site.urls),
    path("api/asyncapi.yaml", asyncapi_yaml, name="asyncapi"),
    path("api/", include("positions.accounts.urls")),
    path("api/", include("positions.api.urls")),
    path("health", health.health),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", metrics),
    path("offline", offline, name="offline"),
    path("offline-worker.js", offline_worker, name="offline-worker"),
]
