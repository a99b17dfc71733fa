"""While every database connection of a process is in use, or the database is away: 503 everywhere, never 500."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.live import NO_TLS, PATIENCE_SECONDS, Server, StartServer, access_token, client, elsewhere
from tests.reliability.locks import AGENTS, locked, until_waiting

pytestmark = pytest.mark.postgresql

DETAIL = {"detail": "The database is unavailable. Try again later."}


FORM = {"username": "alice", "password": "alice-has-a-password"}


@pytest.fixture
def refresh(alice) -> str:
    return str(Client().post("/api/token/", FORM, content_type="application/json").json()["refresh"])


@pytest.fixture
async def full(transactional_db, shared_server: StartServer, alice, agent) -> AsyncIterator[Server]:
    """A server whose only connection is in use."""
    server = shared_server(
        "uvicorn", NEXGENT_DATABASE_POOL_MAX="1", NEXGENT_DATABASE_POOL_TIMEOUT_SECONDS="0.3",
        NEXGENT_DATABASE_THREADS="1",
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {access_token(alice)}"}
    async with httpx.AsyncClient(verify=NO_TLS, base_url=server.url, timeout=PATIENCE_SECONDS) as http:
        with locked(AGENTS):
            holder = asyncio.ensure_future(http.get("/api/agents/", headers=headers))
            await until_waiting(1)
            yield server
        assert (await holder).status_code == 200


async def test_requests_and_sockets_are_told_to_try_again(refresh: str, full: Server, alice, agent):
    browser = Client()
    elsewhere(lambda: browser.force_login(User.objects.create_superuser("root", password="x")))
    session = {"headers": {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}}
    token = {"Authorization": f"Bearer {access_token(alice)}"}
    csrf = "a" * 32
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/api/agents/", {"headers": token}),
        ("POST", "/api/agents/", {"headers": token, "json": {"name": "x"}}),
        ("GET", "/api/positions/", {"headers": token}),
        ("GET", "/api/prices/", {"headers": token}),
        ("POST", "/api/token/", {"json": FORM}),
        ("POST", "/api/token/refresh/", {"json": {"refresh": refresh}}),
        (
            "POST",
            "/admin/login/",
            {"data": {**FORM, "csrfmiddlewaretoken": csrf}, "headers": {"Cookie": f"csrftoken={csrf}"}},
        ),
        ("GET", "/admin/", session),
        ("GET", "/admin/positions/agent/", session),
        ("GET", "/admin/positions/position/", session),
    ]
    async with httpx.AsyncClient(verify=NO_TLS, base_url=full.url, timeout=PATIENCE_SECONDS) as http:
        answers = {}
        for method, path, options in requests:
            answers[method, path] = await http.request(method, path, **options)
    assert {answer.status_code for answer in answers.values()} == {503}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 5 for answer in answers.values())
    for (_, path), answer in answers.items():
        if path.startswith("/api/"):
            assert answer.json() == DETAIL
        else:
            assert "try again" in answer.text.lower()
    async with client(full, token=access_token(alice), agent=agent) as socket:
        assert (await socket.closed())[:2] == (1013, "Try again later")
