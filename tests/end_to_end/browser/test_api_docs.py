"""Swagger UI at /api/docs/: it shows the API, calls it, and loads no third-party files."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from playwright.sync_api import expect

from positions.api.schema import openapi
from positions.models import Agent
from tests.end_to_end.browser.windows import Window
from tests.live import Server, access_token


def test_docs_page_shows_every_operation_asks_the_api_with_a_token_and_loads_nothing_from_other_origins(
    window: Window, alice: User, agent: Agent
) -> None:
    page = window.page
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.goto(f"{window.url}/api/docs/")
    operations = [method for path in openapi()["paths"].values() for method in path]
    expect(page.locator(".opblock")).to_have_count(len(operations))
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("auth-bearer-value").fill(access_token(alice))
    page.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close", exact=True).click()
    block = page.locator("#operations-agents-agents_list")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out", exact=True).click()
    block.get_by_role("button", name="Execute", exact=True).click()
    body = block.locator(".live-responses-table .response-col_description code").first
    expect(body).to_contain_text(str(agent.pk))
    assert json.loads(body.inner_text())["count"] == 1
    # Icons that the script holds are at no address. What the policy refuses would be an error in the console.
    assert asked - {""} == {urlsplit(window.url).netloc}


def test_docs_page_works_from_collected_files(open_window: Callable[..., Window], production: Server) -> None:
    window = open_window(server=production)
    window.page.goto(f"{production.url}/api/docs/")
    expect(window.page.locator(".opblock").first).to_be_visible()
