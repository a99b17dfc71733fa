"""Error pages: in the project's style, under its security policy, revealing nothing."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import Client, RequestFactory

from realtime.web.views import CONTENT_SECURITY_POLICY, forbidden, not_found, server_error

SECRET = "what broke inside"


@pytest.mark.parametrize(
    ("status", "answer", "heading"),
    [
        (403, lambda request: forbidden(request, PermissionDenied(SECRET)), "Access denied"),
        (403, lambda request: forbidden(request, reason=SECRET), "Access denied"),
        (404, lambda request: not_found(request, Http404(SECRET)), "Not found"),
        (500, server_error, "Server error"),
    ],
)
def test_error_page_says_what_a_user_can_do(status, answer, heading):
    response = answer(RequestFactory().get("/nowhere"))
    html = response.content.decode()
    assert response.status_code == status
    assert f"<h1>{heading}</h1>" in html
    assert SECRET not in html
    assert response["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


def test_error_pages_are_those_of_the_project(settings):
    client = Client(enforce_csrf_checks=True)
    assert "There is no page at this address." in client.get("/nowhere").content.decode()
    assert "Reload the page" in client.post("/admin/login/").content.decode()


@pytest.mark.parametrize("path", ["/", "/offline", "/offline-worker.js"])
def test_page_asks_no_database(client: Client, path, django_assert_num_queries, db):
    with django_assert_num_queries(0):
        assert client.get(path).status_code == 200


def test_worker_may_load_nothing_from_elsewhere_and_is_never_an_old_one(client: Client):
    response = client.get("/offline-worker.js")
    assert response["Content-Type"] == "text/javascript"
    assert response["Content-Security-Policy"] == "default-src 'none'; connect-src 'self'"
    assert response["Cache-Control"] == "no-cache"
