"""What shows settings and variables shows no secret: Django's page for errors, its text, `diffsettings`."""

from __future__ import annotations

import os
import subprocess
import sys
from html import unescape
from typing import NoReturn
from urllib.parse import quote

import pytest
from django.conf import LazySettings
from django.http import HttpRequest
from django.test import Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from realtime.conf import conf
from tests.live import PATIENCE_SECONDS, ROOT

# With what a URL, HTML and a repr write in another way.
PASSWORD = "p&ss'w/rd<1>"
SHORT = "pw"


class Connection:
    """Somebody's object, whose repr tells."""

    def __repr__(self) -> str:
        return f"<Client to rediss://user:{quote(PASSWORD, safe='')}@cache.internal/0>"


@csrf_exempt
def fails(request: HttpRequest) -> NoReturn:
    connection = Connection()
    options = {"password": PASSWORD, "hosts": [{"address": f"redis://:{SHORT}@h:6379"}]}
    raw = f"cannot reach {connection!r}"
    try:
        raise ValueError(f"{options['password']} is wrong")
    except ValueError as error:
        raise RuntimeError(f"{raw}: {PASSWORD}") from error


urlpatterns = [path("fails/", fails)]


@pytest.fixture
def secrets(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    url = f"redis://:{quote(PASSWORD, safe='')}@cache.internal:6379/0"
    settings.DEBUG = True
    settings.NEXGENT = settings.NEXGENT | {
        "REDIS_URL": url,
        "REDIS_URLS": [url, f"redis://:{SHORT}@h:6379"],
        "METRICS_TOKEN": "a-metrics-token-of-ours",
    }
    settings.CHANNEL_LAYERS = {"default": {"CONFIG": {"hosts": [{"address": url}]}}}
    monkeypatch.setenv("DATABASE_URL", "postgresql://nexgent:environment-password@db/nexgent")
    return [PASSWORD, f":{SHORT}@", conf.METRICS_TOKEN, settings.SECRET_KEY, "environment-password"]


@pytest.mark.urls("tests.realtime.test_reports")
@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
def test_error_page_shows_no_secret(secrets: list[str], accept: str):
    client = Client(raise_request_exception=False, headers={"accept": accept})
    token = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJl"
    answer = client.post(
        f"/fails/?token={token}&ticket=ticket_0123456789abcdef&plain=to-be-seen",
        {"username": "alice", "password": "alice-has-a-password"},
        headers={"authorization": f"Bearer {token}", "cookie": "nexgent_session=of-alice-s-browser"},
    )
    assert answer.status_code == 500
    page = unescape(answer.content.decode())
    for spelled in (page, answer.content.decode()):
        for secret in [
            *secrets,
            quote(PASSWORD, safe=""),
            token,
            "0123456789abcdef",
            "alice-has-a-password",
            "of-alice-s",
        ]:
            assert secret not in spelled, secret
    assert "RuntimeError" in page
    assert "to-be-seen" in page
    assert "cache.internal" in page  # what is no secret stays


def test_diffsettings_shows_no_secret():
    password, key = "a-password-in-urls", "k" * 49 + "ey"
    done = subprocess.run(
        [sys.executable, "manage.py", "diffsettings", "--output", "unified", "--all"],
        env={
            **os.environ,
            "REDIS_URL": f"redis://:{password}@cache.internal:6379/0,redis://:{SHORT}@other.internal:6379/0",
            "DATABASE_URL": f"postgresql://nexgent:{password}@db.internal:5432/nexgent",
            "NEXGENT_SECRET_KEY": key,
            "NEXGENT_JUPITER_API_KEY": "an-api-key",
            "NEXGENT_METRICS_TOKEN": "a-metrics-token-of-ours",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    for secret in (password, f":{SHORT}@", key, "an-api-key", "a-metrics-token"):
        assert secret not in done.stdout, secret
    assert "cache.internal" in done.stdout
    assert "db.internal" in done.stdout
