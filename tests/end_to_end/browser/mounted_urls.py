"""The host's addresses. It has a page of its own at its root, and at `/health/live`, for the tests' `Server`."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def host(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the host's own page")


urlpatterns = [
    path("", host),
    path("health/live", host),
    path("desk/", include("realtime.urls")),
]
