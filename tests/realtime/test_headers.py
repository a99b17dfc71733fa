"""The security headers of every response."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from realtime.web.headers import DATA_POLICY, PAGE_POLICY
from realtime.web.views import CONTENT_SECURITY_POLICY

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/", CONTENT_SECURITY_POLICY),
        ("/admin/login/", PAGE_POLICY),
        ("/nowhere", CONTENT_SECURITY_POLICY),
        ("/api/agents/", DATA_POLICY),
        ("/api/nowhere/", DATA_POLICY),
        ("/health/live", DATA_POLICY),
    ],
)
def test_every_answer_carries_the_security_headers(path, policy):
    headers = Client().get(path).headers
    assert headers["Content-Security-Policy"] == policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


def test_no_cache_keeps_what_the_api_answers():
    assert Client().get("/api/agents/").headers["Cache-Control"] == "no-store"


def test_pages_of_the_admin_have_nothing_inline_that_the_policy_forbids(admin_client: Client):
    User.objects.create(username="somebody")
    for path in ("/admin/", "/admin/auth/user/", "/admin/auth/user/add/", "/admin/positions/position/"):
        page = admin_client.get(path).content.decode()
        scripts = [tag.split(">")[0] for tag in page.split("<script")[1:]]
        assert all("src=" in tag or 'type="application/json"' in tag for tag in scripts), scripts
        assert "<style" not in page
        assert "onclick=" not in page
