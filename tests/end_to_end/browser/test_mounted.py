"""The page below a path of a host, itself below a path of a proxy: all that it asks for and links to is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from positions import services
from positions.models import Agent, Position
from tests.end_to_end.browser.conftest import Backstage
from tests.end_to_end.browser.windows import Window
from tests.live import Server

APPLICATION = "tests.end_to_end.browser.mounted:application"
PROXY = {"NEXGENT_URL_PREFIX": "/site"}


@pytest.fixture
def host(transactional_db: None, tmp_path: Path) -> Iterator[Server]:
    log = tmp_path / "log"
    with Server("daphne", log=log, application=APPLICATION, DJANGO_ALLOW_ASYNC_UNSAFE="", **PROXY) as server:
        yield server


def test_page_below_a_path_stays_below_it(
    host: Server, open_window: Callable[..., Window], bonk: Position, feed: Backstage
) -> None:
    Agent.objects.create(owner=bonk.agent.owner, name="beta")  # with one agent there is no overview
    window = open_window(server=host)
    page, asked = window.page, []
    page.context.on("request", lambda request: asked.append(urlsplit(request.url).path))
    window.url = f"{host.url}/site/desk/"
    window.log_in_by_form()
    window.choose("alpha (simulation)")
    window.expect_state("live")
    feed.quote(bonk, "0.000003", "0.0006")
    window.expect_row(bonk, amount="1,000,000", value="3.0000")
    services.buy_more(position_id=bonk.pk, tokens=bonk.remaining_amount, spent_sol=bonk.total_invested_sol)
    window.expect_row(bonk, amount="2,000,000")
    assert urlsplit(window.socket.url).path == "/site/desk/ws"

    # Addresses: those of links, and those that the page is at.
    agent = f"/site/desk/agents/{bonk.agent_id}"
    expect(page).to_have_url(host.url + agent)
    window.row(bonk).get_by_test_id("symbol").click()
    expect(page).to_have_url(f"{host.url}{agent}/positions/{bonk.pk}")
    page.reload()
    expect(window.by_id("details-symbol")).to_have_text("BONK")
    page.keyboard.press("Escape")
    expect(page).to_have_url(host.url + agent)
    links = page.locator("a[href]").evaluate_all("links => links.map((link) => link.href)")
    ours = [urlsplit(link).path for link in links if link.startswith(host.url)]
    assert [path for path in ours if not path.startswith("/site/desk/")] == []
    assert f"{agent}/positions/{bonk.pk}" in ours
    window.by_id("home").click()
    expect(page).to_have_url(window.url)
    expect(window.by_id("overview")).to_be_visible()
    scope = "navigator.serviceWorker.ready.then((registration) => registration.scope)"
    assert page.evaluate(scope) == window.url

    window.by_id("log-out").click()
    expect(window.by_id("log-in")).to_be_visible()
    # Static files are where the host has its own.
    assert {path for path in asked if not re.match("/site/(desk|static)/", path)} == set()
    assert "/site/desk/api/session/" in asked
