"""Pages of other origins: those that NEXGENT_ALLOWED_ORIGINS names may use the REST API, as they may open sockets."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.positions.api.conftest import Api

LISTED, STRANGER = "https://app.example.org", "https://evil.example.org"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def listed(settings):
    settings.CORS_ALLOWED_ORIGINS = [LISTED]


def preflight(path: str, origin: str = LISTED) -> Any:
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
    return Client().options(path, headers={"Origin": origin, **asked})


def test_preflight_of_a_listed_origin_allows_tokens_json_and_keys():
    headers = preflight("/api/agents/").headers
    assert headers["Access-Control-Allow-Origin"] == LISTED
    assert {"authorization", "content-type", "idempotency-key"} <= set(
        headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(headers["Access-Control-Allow-Methods"].split(", "))
    assert len(headers["X-Request-ID"]) == 32


def test_preflight_of_an_origin_not_listed_allows_nothing():
    assert "Access-Control-Allow-Origin" not in preflight("/api/agents/", STRANGER).headers


def test_cookies_are_never_accepted_from_another_origin():
    assert "Access-Control-Allow-Credentials" not in preflight("/api/agents/").headers


@pytest.mark.parametrize(
    "path", ["/api/session/", "/api/session/refresh/", "/", "/admin/login/", "/health", "/metrics"]
)
def test_session_and_pages_stay_with_their_own_origin(path):
    assert "Access-Control-Allow-Origin" not in preflight(path).headers
    assert "Access-Control-Allow-Origin" not in Client().get(path, headers={"Origin": LISTED}).headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/agents/", 401),
        ("POST", "/api/token/", 400),
        ("GET", "/api/nowhere/", 404),
        ("PUT", "/api/token/", 405),
        ("GET", "/api/asyncapi.yaml", 200),
    ],
)
def test_listed_origin_reads_answers_and_errors(method, path, status):
    answer = Client().generic(method, path, headers={"Origin": LISTED})
    assert answer.status_code == status
    check_readable(answer)


def test_listed_origin_reads_that_it_must_wait(settings):
    settings.NEXGENT = settings.NEXGENT | {"TOKEN_REQUESTS_PER_MINUTE": 1}
    answer = [Client().post("/api/token/", headers={"Origin": LISTED}) for _ in range(2)][-1]
    assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)
    check_readable(answer)


def test_listed_origin_reads_that_the_price_cache_is_unavailable(alices: Api, valkey_away):
    answer = alices.request("GET", "prices/", headers={"Origin": LISTED})
    assert answer.status == 503
    check_readable(answer)


@pytest.mark.urls("tests.positions.api.broken_urls")
def test_listed_origin_reads_that_the_server_failed(alices: Api):
    answer = alices.request("GET", "fails/breaks/", headers={"Origin": LISTED})
    assert answer.status == 500
    check_readable(answer)


def check_readable(answer: Any) -> None:
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED
    assert answer.headers["Access-Control-Expose-Headers"] == "retry-after, www-authenticate, x-request-id"
    assert "origin" in answer.headers["Vary"].lower()
