"""A real browser on a real server: Playwright drives the chromium that the machine has."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from positions.books.quotes import MarketStatus
from positions.models import Agent, Position, Wallet
from positions.prices.cache import FeedStatus, put_prices
from positions.prices.quotes import Market, Quote
from positions.services import open_position, take_profit
from positions.valkey import close_async_client
from realtime.publish.broadcast import broadcast_prices
from testbed.templates import Templates
from tests.end_to_end.browser.chromium import ARGUMENTS, NO_BROWSER, find_browser
from tests.end_to_end.browser.windows import Window
from tests.live import PATIENCE_SECONDS, ROOT, Server

SCREENSHOTS = ROOT / "test-results"
_skipped = False
CLOSE = pytest.StashKey[list[Callable[[], None]]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped:
        terminalreporter.write_line(NO_BROWSER, yellow=True, bold=True)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    global _skipped
    executable = find_browser()
    if executable is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_BROWSER, pytrace=False)
        _skipped = True
        pytest.skip("no browser")
    # Playwright's synchronous API keeps an event loop running in this thread, in which Django takes every query for
    # one of asynchronous code. It is not: nothing of that loop touches the database.
    with pytest.MonkeyPatch.context() as environment, sync_playwright() as playwright:
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


def new_profile(browser: Browser, **options: Any) -> BrowserContext:
    options.setdefault("viewport", {"width": 1280, "height": 800})
    # A mark that breathes is drawn sixty times a second, for as long as the window is open.
    options.setdefault("reduced_motion", "reduce")
    profile = browser.new_context(**options)
    profile.set_default_timeout(1000 * PATIENCE_SECONDS)
    return profile


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Close the windows before the servers that they show: they would report that these are gone."""
    for close in item.stash.get(CLOSE, []):
        close()


class OpenWindow(Protocol):
    """The fixture `open_window`."""

    def __call__(
        self, *, server: Server = ..., profile: BrowserContext | None = None, **options: Any
    ) -> Window: ...


@pytest.fixture
def open_window(
    request: pytest.FixtureRequest, browser: Browser, transactional_db: None, daphne_server: Server
) -> Iterator[OpenWindow]:
    """Open windows, each in its own profile; fail where a page reported an error that the test did not expect."""
    close: list[Callable[[], None]] = []
    windows: list[Window] = []

    def open_one(
        *, server: Server = daphne_server, profile: BrowserContext | None = None, **options: Any
    ) -> Window:
        if profile is None:
            profile = new_profile(browser, **options)
            close.append(profile.close)
        page: Page = profile.new_page()
        windows.append(Window(page, server.url))
        return windows[-1]

    request.node.stash[CLOSE] = close
    yield open_one
    assert [error for window in windows for error in window.errors] == []


@pytest.fixture(scope="package")
def kept_profile(browser: Browser) -> Iterator[BrowserContext]:
    """One for all tests that take `window`: the page's 60 files are in its cache."""
    profile = new_profile(browser)
    yield profile
    profile.close()


@pytest.fixture
def window(
    request: pytest.FixtureRequest,
    open_window: OpenWindow,
    kept_profile: BrowserContext,
    daphne_server: Server,
) -> Window:
    """A window without cookies and stored data, in the profile that keeps the page's files.

    What Playwright sets for a whole profile (`clock`, `add_init_script`) needs one of its own, from `open_window`.
    """

    def close() -> None:
        for page in kept_profile.pages:
            page.close()

    window = open_window(profile=kept_profile)
    request.node.stash[CLOSE].append(close)
    kept_profile.clear_cookies()
    kept_profile.clear_permissions()
    kept_profile.set_offline(False)
    devtools = kept_profile.new_cdp_session(window.page)
    kinds = "local_storage,indexeddb,cache_storage,service_workers"
    devtools.send("Storage.clearDataForOrigin", {"origin": daphne_server.url, "storageTypes": kinds})
    devtools.detach()
    return window


@pytest.fixture(scope="package")
def script_page(browser: Browser, daphne_server: Server) -> Iterator[Page]:
    """A page that only lends its modules to tests of pure functions."""
    page = browser.new_page()
    page.goto(daphne_server.url)
    yield page
    page.close()


class Backstage:
    """An event loop in a thread of its own, for what the price feed does: this thread's is Playwright's."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        self._loop.run_forever()
        self._loop.close()  # here, since channels_redis makes it run the loop once more, to close its connections

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_SECONDS)

    def quote(
        self, position: Position, price: str, price_usd: str | None, market: Market | None = None
    ) -> None:
        """Do one round of the feed: write the cache, then send to the sockets."""
        usd = None if price_usd is None else Decimal(price_usd)
        quotes = [Quote(position.token_address, Decimal(price), usd, datetime.now(UTC), market)]
        self.run(put_prices(quotes))
        self.run(broadcast_prices(quotes))

    def report(self, **status: Any) -> None:
        """Write the feed's status."""
        defaults: dict[str, Any] = {"source": "simulated", "simulated": True, "interval_seconds": 1.5}
        self.run(put_prices([], FeedStatus(**{**defaults, "updated_at": datetime.now(UTC), **status})))

    def close(self) -> None:
        self.run(close_async_client())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)


@pytest.fixture(scope="package")
def feed() -> Iterator[Backstage]:
    backstage = Backstage()
    yield backstage
    backstage.close()


def new_token() -> str:
    """Return an address that no other test uses: server processes, shared by tests, remember prices."""
    return "".join(secrets.choice("123456789ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(43))


@pytest.fixture
def bonk(wallet: Wallet) -> Position:
    """A million tokens for 2 SOL, stop loss 20 % below that, no live price."""
    return buy(wallet, "BONK", tokens="1000000", spent_sol="2", stop_loss="-20")


def buy(
    wallet: Wallet, symbol: str, *, tokens: str, spent_sol: str, stop_loss: str | None = None
) -> Position:
    return open_position(
        wallet=wallet,
        token_address=new_token(),
        token_symbol=symbol,
        tokens=Decimal(tokens),
        spent_sol=Decimal(spent_sol),
        stop_loss_percentage=None if stop_loss is None else Decimal(stop_loss),
    )


def pool(status: MarketStatus, tokens: str, sol: str) -> Market:
    """Return a market with these reserves, and the liquidity that they are at 187.5 USD for one SOL."""
    return Market(status, 2 * Decimal(sol) * Decimal("187.5"), Decimal(tokens), Decimal(sol))


@pytest.fixture
def portfolio(agent: Agent, wallet: Wallet, bonk: Position, feed: Backstage) -> list[Position]:
    """Gains, losses, a moon bag, a long symbol, tiny and large numbers; a thin market, one that is gone, none."""
    second = Wallet.objects.create(agent=agent, address="B" * 43, kind="live")
    positions = [
        bonk,
        buy(wallet, "WIF", tokens="812.5", spent_sol="10", stop_loss="-15.25"),
        buy(wallet, "JUP", tokens="4200", spent_sol="18.75", stop_loss="7.5"),
        buy(second, "ANEXTREMELYLONGSYMBOLOF32LETTERS", tokens="0.00001234", spent_sol="0.000000001"),
        buy(second, "PEPE", tokens="987654321098765432109.87654321", spent_sol="25.5", stop_loss="-30"),
        buy(wallet, "NEW", tokens="1500", spent_sol="0.75"),
    ]
    take_profit(position_id=positions[2].pk, tokens=Decimal(2100), proceeds_sol=Decimal(16), moon_bag=True)
    for position, price, usd, market in [
        (bonk, "0.0000025", "0.00046875", pool("live", "400000000", "1000")),
        (positions[1], "0.0101", "1.89375", pool("thin", "200", "2")),
        (positions[2], "0.0061", "1.14375", None),
        (
            positions[3],
            "0.00009",
            "0.016875",
            Market("gone", priced_at=datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ),
        (positions[4], "0.0000000000000000000231", "0.0000000000000000043312", None),
    ]:
        feed.quote(position, price, usd, market)
    feed.report(source="simulated", simulated=True, sol_usd=Decimal("187.5"))
    return positions


@pytest.fixture
def own_server(request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path) -> Iterator[Server]:
    """A server of this test's alone, to be killed: daphne, unless the test names another."""
    with Server(
        getattr(request, "param", "daphne"), log=tmp_path / "log", DJANGO_ALLOW_ASYNC_UNSAFE=""
    ) as server:
        yield server


@pytest.fixture
def start_server(transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a daphne of this test's alone with these settings; it ends after the windows that show it."""
    with ExitStack() as stack:

        def start(**environment: str) -> Server:
            server = Server("daphne", log=tmp_path / "log", DJANGO_ALLOW_ASYNC_UNSAFE="", **environment)
            return stack.enter_context(server)

        yield start


PRODUCTION = {
    "NEXGENT_DEBUG": "false",
    "NEXGENT_SECRET_KEY": "not-a-secret-" * 5,
    "NEXGENT_ALLOWED_HOSTS": "127.0.0.1",
    "NEXGENT_SSL_REDIRECT": "false",
}


@pytest.fixture
def production(start_server: Callable[..., Server], templates: Templates) -> Server:
    """A server without debug mode, on collected files."""
    return start_server(**PRODUCTION, NEXGENT_STATIC_DIR=str(templates.static_files()))
