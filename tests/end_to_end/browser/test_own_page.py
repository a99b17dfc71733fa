"""The page of docs/building-on-it.md that shows one agent, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from positions import services
from positions.models import Position
from tests.documents import blocks
from tests.end_to_end.browser.conftest import Backstage, buy
from tests.end_to_end.browser.windows import Window
from tests.live import Server

APPLICATION = "tests.end_to_end.browser.own_page:application"


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[Server]:
    log = tmp_path / "log"
    with Server("daphne", log=log, application=APPLICATION, DJANGO_ALLOW_ASYNC_UNSAFE="") as server:
        yield server


def test_own_page_has_at_most_thirty_lines() -> None:
    [page] = blocks("docs/building-on-it.md", "html")
    assert len(page.text.splitlines()) <= 30


def test_own_page_asks_for_a_login_and_then_follows_the_agent(
    site: Server, open_window: Callable[..., Window], bonk: Position, feed: Backstage
) -> None:
    window = open_window(server=site)
    lines, status = window.page.locator("li"), window.page.get_by_role("status")
    window.page.goto(f"{site.url}/one-agent")
    expect(status).to_have_text("Log in first.")
    assert window.sockets == 0
    window.forgive_network_trouble()  # the browser reports the request that was refused
    window.log_in_by_form()
    expect(window.by_id("log-in")).to_be_hidden()
    window.page.goto(f"{site.url}/one-agent")
    expect(status).to_have_text("live")
    expect(window.page.locator("h1")).to_have_text("alpha")
    expect(lines).to_have_text(["BONK: 1000000 at 0.000002 SOL"])
    feed.quote(bonk, "0.000003000000000001", None)
    expect(lines).to_have_text(["BONK: 1000000 at 0.000003000000000001 SOL"])
    buy(bonk.wallet, "<b>WIF", tokens="5", spent_sol="10")
    expect(lines).to_have_text(["BONK: 1000000 at 0.000003000000000001 SOL", "<b>WIF: 5 at 2 SOL"])
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal(1))
    expect(lines).to_have_text(["<b>WIF: 5 at 2 SOL"])
    window.page.reload()
    expect(lines).to_have_text(["<b>WIF: 5 at 2 SOL"])
