"""What nobody gets costs no traceback: neither in the log, nor, in debug mode, as a page."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.test import Client

from nexgent import settings as project
from tests.live import PATIENCE_SECONDS

HEADERS = {"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"}


@pytest.mark.parametrize("is_debug", [False, True])
@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/static/missing.js", "localhost", 404),
        ("/static/", "localhost", 404),
        ("/", "elsewhere.example", 400),
        ("/api/agents/", "elsewhere.example", 400),
        ("/health/live", "bad_host:x", 400),
        ("/static/realtime/nexgent.js", "elsewhere.example", 400),
    ],
)
async def test_refusal_is_short_and_leaves_no_traceback(
    settings: Any, caplog: Any, is_debug: bool, path: str, host: str, status: int
):
    settings.DEBUG, settings.ALLOWED_HOSTS = is_debug, ["localhost"]
    settings.MIDDLEWARE = project.MIDDLEWARE
    server = HttpCommunicator(ASGIHandler(), "GET", path, headers=[(b"host", host.encode())])
    served = await server.get_response(PATIENCE_SECONDS)
    answer = await sync_to_async(Client(raise_request_exception=False).get)(path, HTTP_HOST=host)
    for code, body, headers in (
        (served["status"], served["body"], {name.decode().title() for name, _ in served["headers"]}),
        (answer.status_code, answer.content, set(answer.headers)),
    ):
        assert (code, len(body) < 3000) == (status, True)
        assert b"Traceback" not in body
        assert {name.title() for name in headers} >= HEADERS
    assert [record for record in caplog.records if record.exc_info] == []
    assert all(host in record.getMessage() for record in caplog.records if record.name.startswith("realtime"))
