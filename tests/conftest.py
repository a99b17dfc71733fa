"""Personas and their belongings: alice owns, bob is a stranger who must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from positions import valkey
from positions.models import Agent, Position, Wallet
from positions.services import open_position
from tests.live import Server

BONK = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"
WIF = "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm"
JUP = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"


@pytest.fixture
def alice(db) -> User:
    return User.objects.create_user("alice", password="alice-has-a-password")


@pytest.fixture
def bob(db) -> User:
    return User.objects.create_user("bob", password="bob-has-a-password")


@pytest.fixture
def agent(alice: User) -> Agent:
    return Agent.objects.create(owner=alice, name="alpha")


@pytest.fixture
def wallet(agent: Agent) -> Wallet:
    return Wallet.objects.create(agent=agent, address="A1pha1111111111111111111111111111111111111")


@pytest.fixture
def position(wallet: Wallet) -> Position:
    """A million BONK for 2 SOL."""
    return open_position(
        wallet=wallet,
        token_address=BONK,
        token_symbol="BONK",
        tokens=Decimal(1_000_000),
        spent_sol=Decimal(2),
    )


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """Every test starts without prices and without anyone connected."""
    valkey.client().flushdb()


@pytest.fixture(scope="session")
def daphne_server(django_db_setup, tmp_path_factory) -> Iterator[Server]:
    with Server("daphne", log=tmp_path_factory.mktemp("daphne") / "log") as server:
        yield server


@pytest.fixture(scope="session")
def uvicorn_server(django_db_setup, tmp_path_factory) -> Iterator[Server]:
    with Server("uvicorn", log=tmp_path_factory.mktemp("uvicorn") / "log") as server:
        yield server


@pytest.fixture(params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest, transactional_db) -> Server:
    """Each of the two servers in turn, on the tests' database."""
    running: Server = request.getfixturevalue(f"{request.param}_server")
    return running
