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


@pytest.mark.parametrize("in_debug_mode", [True, False])
def test_pages_for_errors_in_debug_mode_have_no_policy(settings, in_debug_mode):
    settings.DEBUG = in_debug_mode
    answer = Client().get("/nowhere")
    assert answer.status_code == 404
    assert ("Content-Security-Policy" in answer.headers) is not in_debug_mode
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_cookie_of_the_admin_is_for_no_script_and_no_other_site(admin_user: User):
    browser = Client(enforce_csrf_checks=True)
    browser.get("/admin/login/")
    form = {"username": "admin", "password": "password", "next": "/admin/"}
    token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value}
    assert browser.post("/admin/login/", form).status_code == 403
    assert browser.post("/admin/login/", form | token).status_code == 302
    cookie = browser.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert cookie["max-age"] == 14 * 24 * 60 * 60
    assert browser.get("/admin/auth/user/add/").status_code == 200
    answer = browser.post("/admin/auth/user/add/", {"username": "new", "usable_password": "false"})
    assert answer.status_code == 403  # another site's form has no token
    assert not User.objects.filter(username="new").exists()
