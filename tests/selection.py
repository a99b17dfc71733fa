"""Which tests need what, decided in one place: the marks `fast`, `fault` and `browser`, and the order of the files.

A pytest plugin (`-p tests.selection`).
"""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Generator, Hashable
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
    BROWSER / "test_reconnect.py",
    REALTIME / "test_resume.py",
    FAULTS,
    HERE / "deployment",
    HERE / "end_to_end",
    HERE / "test_benchmarks.py",
    REALTIME,
)
"""A worker takes one file after the other: what takes long, and mostly waits, is not to be what the others wait for."""
WHOLE_STACK = (HERE / "end_to_end", HERE / "deployment", HERE / "test_benchmarks.py")


WIRE = {REALTIME / "test_socket.py", REALTIME / "test_bodies.py"}
"""Where daphne and uvicorn differ: close codes, frames, pings, shutdown, bodies. On PostgreSQL they run on both."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage meanwhile, nor look later through what stays: that was a quarter of what it costs each worker.

    10.3 s of CPU, without 8.0 s (2026-11-26).
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
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
    items.sort(key=lambda item: _place(item.path))


@cache
def _is_in(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder)


@cache
def _place(path: Path) -> int:
    places = (number for number, first in enumerate(LONGEST_FIRST) if _is_in(path, first))
    return next(places, len(LONGEST_FIRST))


def _is_left_out(item: pytest.Item) -> bool:
    """Return whether a test runs with the other database.

    `make run` uses SQLite and daphne, so on SQLite there is no uvicorn, and nothing that asks no database. The tests of
    `realtime` run on both databases: each of them on daphne there and on uvicorn here.
    """
    if not POSTGRESQL:
        return (
            _has_parameter(item, "uvicorn")
            or item.get_closest_marker("postgresql") is not None
            or not _uses_database(item)
        )
    if not _is_in(item.path, REALTIME) or item.path in WIRE or item.get_closest_marker("postgresql"):
        return False
    return _has_parameter(item, "daphne")


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
