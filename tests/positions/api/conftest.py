"""A client that acts as a given user, sends JSON text unchanged, and reads numbers exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from positions import valkey
from positions.models import Agent, Position, Wallet
from positions.prices.cache import FeedStatus, put_prices
from positions.prices.quotes import Quote
from positions.services import open_position
from tests.conftest import BONK, JUP
from tests.live import access_token

UNKNOWN_ID = "0f7a4c1e-5d26-4b8e-9c3a-6f1d2e8b7a90"
"""Of nothing. Not random: the workers of pytest-xdist must find the same tests."""
AS_OF = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)


class Answer:
    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.content: bytes = response.content
        self.text = self.content.decode()

    @property
    def data(self) -> Any:
        return json.loads(self.text, parse_float=Decimal)

    @property
    def refusal(self) -> tuple[int, Any]:
        return self.status, self.data


class Api:
    """Paths are below /api/; a body is a dict, or JSON text where its digits matter."""

    def __init__(self, user: User | None) -> None:
        token = {"Authorization": f"Bearer {access_token(user)}"} if user else {}
        self.client = Client(headers=token)

    def request(
        self, method: str, path: str, body: dict[str, Any] | str | bytes | None = None, **options: Any
    ) -> Answer:
        data = json.dumps(body) if isinstance(body, dict) else body or ""
        options.setdefault("content_type", "application/json")
        return Answer(self.client.generic(method, f"/api/{path}", data, **options))

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, body: dict[str, Any] | str | bytes | None = None) -> Answer:
        return self.request("POST", path, body)

    def patch(self, path: str, body: dict[str, Any] | str | bytes | None = None) -> Answer:
        return self.request("PATCH", path, body)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)


@pytest.fixture
def alices(alice: User) -> Api:
    return Api(alice)


@pytest.fixture
def bobs(bob: User) -> Api:
    return Api(bob)


@pytest.fixture
def nobodys() -> Api:
    return Api(None)


@pytest.fixture
def bobs_wallet(bob: User) -> Wallet:
    agent = Agent.objects.create(owner=bob, name="beta")
    return Wallet.objects.create(agent=agent, address="Bobs111111111111111111111111111111111111111")


@pytest.fixture
def bobs_position(bobs_wallet: Wallet) -> Position:
    return open_position(
        wallet=bobs_wallet,
        token_address=JUP,
        token_symbol="JUP",
        tokens=Decimal(10),
        spent_sol=Decimal(1),
    )


@pytest.fixture
def feed() -> Callable[..., None]:
    """Put prices into the cache, as the feed does: `feed(quote, …, sol_usd=…)`."""

    def put(*quotes: Quote, **status: Any) -> None:
        said: dict[str, Any] = {"source": "replay", "simulated": False, "updated_at": timezone.now()} | status

        async def write() -> None:
            await put_prices(quotes, FeedStatus(interval_seconds=1.5, **said))
            await valkey.close_async_client()

        async_to_sync(write)()

    return put


@pytest.fixture
def bonk_at_3_micro(feed) -> None:
    """BONK at 0.000003 SOL, bought at 0.000002; SOL at 200 USD."""
    feed(Quote(BONK, Decimal("0.000003"), Decimal("0.0006"), timezone.now()), sol_usd=Decimal(200))


@pytest.fixture
def valkey_away(settings, tmp_path: Path) -> Iterator[None]:
    valkey.client().close()
    valkey.client.cache_clear()
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": f"unix://{tmp_path}/nobody-listens"}
    yield
    valkey.client.cache_clear()
