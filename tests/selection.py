"""Which tests need what, decided in one place: the marks `fast`, `fault` and `browser`, and the order of the files.

A pytest plugin (`-p tests.selection`).
"""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Generator, Hashable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from testbed import forkserver
from tests.servers import POSTGRESQL

HERE = Path(__file__).parent
FAULTS = HERE / "reliability"
BROWSER = HERE / "end_to_end" / "browser"
REALTIME = HERE / "realtime"
LONGEST_FIRST = (
    FAULTS / "test_faults.py",
    HERE / "end_to_end" / "test_up.py",
    REALTIME / "test_socket.py",
    BROWSER / "test_reconnect.py",
    REALTIME / "test_resume.py",
    FAULTS,
    HERE / "deployment",
    HERE / "end_to_end",
    HERE / "test_benchmarks.py",
    REALTIME,
)
"""A worker takes one file after the other: what takes long is not to be what the others wait for. These mostly wait, so
the other files, which compute, come between them: else the processors would have nothing to do at first."""
WHOLE_STACK = (HERE / "end_to_end", HERE / "deployment", HERE / "test_benchmarks.py")


WIRE = {REALTIME / "test_socket.py", REALTIME / "test_bodies.py"}
"""Where daphne and uvicorn differ: close codes, frames, pings, shutdown, bodies. On PostgreSQL they run on both."""


ONE_DATABASE = {
    "positions/api/test_errors.py": "which answer an error becomes",
    "positions/api/test_json.py": "parsing and writing of JSON, before and after any query",
    "positions/api/test_other_origins.py": "headers of answers",
    "positions/api/test_positions_write.py": "checks of input and texts of refusals; writes are the services'",
    "positions/api/test_request_rates.py": "counts in Valkey",
    "positions/api/test_scopes.py": "claims of tokens",
    "positions/prices/test_dexscreener_status.py": "answers of a price API",
    "positions/prices/test_fair_feed.py": "the order in which a price API is asked",
    "positions/prices/test_feed.py": "rounds of prices from their source to Valkey",
    "positions/test_admin.py": "pages of the admin",
    "positions/test_demo_content.py": "which positions the demo has",
    "positions/test_demo.py": "what a repeat leaves as it is; `make run` makes it in tests/end_to_end/test_up.py",
    "positions/test_import_engine.py": "reading of files, and what is said of them",
    "positions/test_logins.py": "counts in Valkey",
    "positions/test_symbols.py": "texts",
    "realtime/test_headers.py": "headers of answers",
    "realtime/test_keys.py": "signatures and times of tokens",
    "realtime/test_log_lines.py": "the form of log lines",
    "realtime/test_outside_issuer.py": "signatures of tokens, and keys that are fetched over HTTP",
}
"""What runs on PostgreSQL only, and what it is about instead of the database, which it uses as it finds it.

The rule: what could fail on SQLite alone runs there, too. That is code whose statements differ: locks, transactions,
triggers, constraints, ON CONFLICT, JSON, types and widths of numbers, times, the order of NULLs, LIKE, anything in
SQL. And it is what `make run` does with that database: sockets, resume, events, books, services, sessions, migrations.
So a new file runs on both. It belongs in this list if its code has no such statement, or only some that tests of other
files run on both. A test in a listed file that does have one takes the mark `both_databases`.
"""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage meanwhile, nor look later through what stays: that was a quarter of what it costs each worker.

    10.3 s of CPU, without 8.0 s (2026-11-26). And seldom in the tests: 844 of them took 36.1 s, now 34.3 s, as without
    any collection (2026-11-27). Servers and commands are processes of their own, with the product's settings.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = {item for item in items if _is_left_out(item)}
    if left_out:
        config.hook.pytest_deselected(items=[*left_out])
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if _is_in(item.path, FAULTS):
            item.add_marker("fault")
        elif _is_in(item.path, BROWSER):
            item.add_marker("browser")
        elif not _starts_processes(item):
            item.add_marker("fast")
    places = _mixed(dict.fromkeys(item.path for item in items))
    items.sort(key=lambda item: places[item.path])


@cache
def _is_in(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder)


@cache
def _place(path: Path) -> int:
    places = (number for number, first in enumerate(LONGEST_FIRST) if _is_in(path, first))
    return next(places, len(LONGEST_FIRST))


def _mixed(files: Iterable[Path]) -> dict[Path, float]:
    """Return the place of each file: those of LONGEST_FIRST in this order, and the others spread among them."""
    first = sorted((file for file in files if _place(file) < len(LONGEST_FIRST)), key=_place)
    others = [file for file in files if _place(file) == len(LONGEST_FIRST)]
    spread = ((file, number / len(some)) for some in (first, others) for number, file in enumerate(some))
    return dict(spread)


def _is_left_out(item: pytest.Item) -> bool:
    """Return whether a test runs with the other database.

    `make run` uses SQLite and daphne, so on SQLite there is no uvicorn, and nothing that asks no database or in which
    it makes no difference (`ONE_DATABASE`). The tests of `realtime` run on both databases: each of them on daphne there
    and on uvicorn here.
    """
    if not POSTGRESQL:
        return (
            _has_parameter(item, "uvicorn")
            or item.get_closest_marker("postgresql") is not None
            or not _uses_database(item)
            or (_is_listed(item.path) and item.get_closest_marker("both_databases") is None)
        )
    if not _is_in(item.path, REALTIME) or item.path in WIRE or item.get_closest_marker("postgresql"):
        return False
    return _has_parameter(item, "daphne")


@cache
def _is_listed(path: Path) -> bool:
    return path.is_relative_to(HERE) and path.relative_to(HERE).as_posix() in ONE_DATABASE


def _uses_database(item: pytest.Item) -> bool:
    """Return whether a test asks for the database, or starts a server, which does."""
    from tests.live import Server  # not before pytest-django has set Django up

    fixtures = {"db", "transactional_db"}.intersection(getattr(item, "fixturenames", ()))
    return bool(fixtures) or item.get_closest_marker("django_db") is not None or _imports(item, Server)


def _has_parameter(item: pytest.Item, value: str) -> bool:
    call = getattr(item, "callspec", None)
    return call is not None and value in call.params.values()


def _starts_processes(item: pytest.Item) -> bool:
    """Return whether a test may start a process other than PostgreSQL and Valkey, by what its module imports."""
    from tests.live import Server  # not before pytest-django has set Django up

    if any(_is_in(item.path, path) for path in WHOLE_STACK):
        return True
    return any(_imports(item, what) for what in (Server, subprocess, forkserver))


def _imports(item: pytest.Item, what: Hashable) -> bool:
    return isinstance(item, pytest.Function) and _names(item.module, what)


@cache
def _names(module: ModuleType, what: Hashable) -> bool:
    return any(value is what for value in vars(module).values())
