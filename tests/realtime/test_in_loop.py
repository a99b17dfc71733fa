"""Middlewares in the event loop: what they do is what Django's do, sessions, messages and CSRF included."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from realtime.web.in_loop import in_loop
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test

pytestmark = pytest.mark.django_db(transaction=True)
VARIES = {"X-Request-ID", "Set-Cookie", "Content-Length", "Expires"}
"""`Expires` of what is not to be cached is the second of the answer."""


@pytest.fixture(autouse=True)
def middlewares(settings: Any) -> None:
    replaced = in_loop(settings.MIDDLEWARE)
    assert len(set(replaced) - set(settings.MIDDLEWARE)) == 7
    settings.MIDDLEWARE = replaced


@pytest.mark.parametrize("storage", ["fallback.FallbackStorage", "session.SessionStorage"])
async def test_session_of_the_admin_begins_keeps_messages_and_ends(settings: Any, storage: str):
    settings.MESSAGE_STORAGE = f"django.contrib.messages.storage.{storage}"
    await sync_to_async(User.objects.create_superuser)("root", password="right")
    client = AsyncClient(enforce_csrf_checks=True)
    login = "/admin/login/?next=/admin/"
    await client.get(login)
    form = {"username": "root", "password": "right", "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    assert (await client.post(login, form | {"csrfmiddlewaretoken": ""})).status_code == 403
    assert "sessionid" not in client.cookies
    assert (await client.post(login, form)).status_code == 302
    assert client.cookies["sessionid"].value

    token = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    add = "/admin/auth/group/add/"
    assert (await client.post(add, {"name": "traders"})).status_code == 403
    assert (await client.post(add, token | {"name": "traders"})).status_code == 302
    for shown in (True, False):
        page = (await client.get("/admin/")).content.decode()
        assert ("was added successfully" in page) == shown

    assert (await client.post("/admin/logout/", token)).status_code == 200
    assert (await client.get("/admin/")).status_code == 302


@pytest.mark.parametrize(
    "path",
    ["/health/live", "/api/agents/", "/api/agents", "/admin/login/", "/admin", "/", "/nowhere", "/api/x/"],
)
async def test_answers_are_those_of_a_synchronous_server(path: str):
    here = await AsyncClient().get(path)
    there = await sync_to_async(Client().get)(path)
    assert here.status_code == there.status_code
    assert {name: value for name, value in here.items() if name not in VARIES} == {
        name: value for name, value in there.items() if name not in VARIES
    }
    assert set(here.cookies) == set(there.cookies)
