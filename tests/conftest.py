"""Personas and their belongings: alice owns, bob is a stranger who must be refused."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from functools import cache
from pathlib import Path

import httpx
import hypothesis
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import TransactionTestCase
from django.utils import timezone

from positions import valkey
from positions.accounts.buckets import buckets
from positions.models import Agent, Position, Wallet
from positions.prices.quotes import Quote
from positions.services import open_position, sol_price
from testbed.backends import Valkey
from testbed.templates import Templates
from tests import deadlines
from tests.hashing import CheapPBKDF2
from tests.live import Server, StartServer

# No test asserts how long something took.
hypothesis.settings.register_profile(
    "tests",
    parent=hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")

pytest_plugins = ["realtime.testing.fixtures"]

BONK = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"
WIF = "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm"
JUP = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"


def person(name: str) -> User:
    """Make a user whose password is `NAME-has-a-password`."""
    return User.objects.create(username=name, password=CheapPBKDF2().encode(f"{name}-has-a-password", "salt"))


@pytest.fixture
def alice(db) -> User:
    return person("alice")


@pytest.fixture
def bob(db) -> User:
    return person("bob")


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


def fresh_token() -> str:
    """Return the address of a token of which no server process has received a price."""
    # By `secrets`: hypothesis seeds `random` for each of its examples, and the same "fresh" ones would come again.
    return "".join("123456789ABCDEFGHJKLMNPQRSTUVWXYZ"[byte % 33] for byte in secrets.token_bytes(44))


def quote(token: str, price: str, price_usd: str | None = None) -> Quote:
    """Return a price of this moment."""
    return Quote(token, Decimal(price), None if price_usd is None else Decimal(price_usd), timezone.now())


MADE_BY_MIGRATE = {"django_content_type", "auth_permission"}
LOCKS = ("SELECT FROM positions_agent FOR UPDATE", "SELECT FROM auth_user FOR UPDATE")
"""In the order in which every writer takes them: so a request that a test has not waited for is waited for here."""


@pytest.fixture(scope="session")
def empty_tables() -> Callable[[], None]:
    """Return what empties the tables between two tests, by DELETE, but not those that no test writes.

    Django's TRUNCATE locks them all against readers, and the server processes read: a query of the reconciler that
    has one table and wants the next is a deadlock, and PostgreSQL may end the flush for it. Django asks first which
    tables there are, and makes the rights of every model anew, which takes longer than most tests.
    """

    def empty() -> None:
        # Of the models that there are now: a test may declare one. In any order: foreign keys are looked at at the end.
        tables = set(connection.introspection.django_table_names(include_views=False)) - MADE_BY_MIGRATE
        deletions = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in sorted(tables)]  # noqa: S608
        with transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("; ".join([*LOCKS, *deletions]))
            else:
                for statement in deletions:
                    cursor.execute(statement)

    return empty


@pytest.fixture(scope="session")
def django_db_setup(
    running_postgresql: None,
    templates: Templates,
    empty_tables: Callable[[], None],
    django_test_environment: None,
) -> Iterator[None]:
    """Take a copy of a migrated database."""
    if connection.vendor == "sqlite":
        shutil.copy(templates.file(), connection.settings_dict["NAME"])
        # While one is open, no other is the last, which clears the log away when it is closed: 2 ms of CPU a test.
        stays_open = sqlite3.connect(connection.settings_dict["NAME"])
        stays_open.execute("SELECT * FROM django_migrations").fetchall()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda test: empty_tables())
        yield
    if connection.vendor == "sqlite":
        stays_open.close()


@pytest.fixture(scope="session", autouse=True)
def long_deadlines() -> None:
    """In this process, as in the servers that tests share."""
    deadlines.lengthen()


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> None:
    """In this process, as in the servers: tests/settings.py."""
    settings.PASSWORD_HASHERS = ["tests.hashing.CheapPBKDF2"]


@pytest.fixture(scope="session", autouse=True)
def no_static_files() -> None:
    """Serve none to Django's test client, which would start an event loop and a thread for each request: 1.1 ms of CPU.

    Server processes serve them, and tests in a browser load them from there.
    """
    middleware = "realtime.web.refusals.StaticFiles"
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != middleware]


@pytest.fixture(scope="session", autouse=True)
def cheap_http() -> Iterator[None]:
    """Let clients of httpx share what each reads for itself: 50 ms of CPU for a file of certificates.

    And for each request, httpcore looks everywhere for a library that is not installed: as in tests/settings.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "sniffio", None)
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def empty_cache(running_valkey: None) -> None:
    """Every test starts without prices and without anyone connected."""
    valkey.client().flushdb()
    sol_price.forget()
    buckets.forget()


@pytest.fixture(scope="session")
def realtime_redis(running_valkey: None) -> str:
    """For the fixtures of `realtime.testing`: the Valkey of all tests here."""
    return str(settings.NEXGENT["REDIS_URL"])


@pytest.fixture
def own_valkey(settings, tmp_path: Path) -> Iterator[None]:
    """A price cache that no server process uses: what it has counted, this test has asked for."""
    with Valkey(tmp_path / "valkey") as server:
        valkey.client().close()
        valkey.client.cache_clear()
        settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": server.url}
        yield
        valkey.client().close()
        valkey.client.cache_clear()


class _Running:
    """Servers by their kind and settings."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, frozenset[tuple[str, str]]], Server] = {}
        self._stack = ExitStack()

    def start(self, kind: str, folders: pytest.TempPathFactory, environment: dict[str, str]) -> Server:
        key = kind, frozenset(environment.items())
        if key not in self._servers:
            settings = {deadlines.SERVERS_WANT: "long", **environment}
            server = Server(kind, log=folders.mktemp(kind) / "log", **settings)
            self._servers[key] = self._stack.enter_context(server)
        return self._servers[key]

    def end(self) -> None:
        self._servers.clear()
        self._stack.close()


_of_this_file = _Running()
"""Those with settings of their own, which no other file wants."""


@pytest.fixture(scope="session")
def shared_server(django_db_setup, tmp_path_factory) -> Iterator[StartServer]:
    """Return a server of this kind with these settings, the same for all tests of a file: none may end it.

    Without settings it is the same for all files.
    """
    of_all_files = _Running()

    def start(kind: str, **environment: str) -> Server:
        running = _of_this_file if environment else of_all_files
        return running.start(kind, tmp_path_factory, environment)

    yield start
    of_all_files.end()


@pytest.fixture(scope="module", autouse=True)
def servers_of_a_file_end_with_it() -> Iterator[None]:
    """Thirty that wait, and look at the database now and then, would take half a processor."""
    yield
    _of_this_file.end()


@pytest.fixture(scope="session")
def daphne_server(shared_server: StartServer) -> Server:
    return shared_server("daphne")


@pytest.fixture(scope="session")
def uvicorn_server(shared_server: StartServer) -> Server:
    return shared_server("uvicorn")


@pytest.fixture(params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest, transactional_db) -> Server:
    """Each of the two servers in turn, on the tests' database."""
    running: Server = request.getfixturevalue("shared_server")(request.param)
    return running
