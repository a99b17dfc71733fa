"""Which tests need what, decided in one place: the marks `fast`, `fault` and `browser`, and the order of the files.

A pytest plugin (`-p tests.selection`).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.servers import POSTGRESQL

HERE = Path(__file__).parent
FAULTS = HERE / "reliability"
BROWSER = HERE / "end_to_end" / "browser"
LONGEST_FIRST = (
    FAULTS / "test_faults.py",
    HERE / "end_to_end" / "test_up.py",
    BROWSER / "test_reconnect.py",
    HERE / "realtime" / "test_resume.py",
    FAULTS,
    HERE / "deployment",
    HERE / "end_to_end",
    HERE / "test_benchmarks.py",
    HERE / "realtime",
)
"""A worker takes one file after the other: what takes long, and mostly waits, is not to be what the others wait for."""
WHOLE_STACK = (HERE / "end_to_end", HERE / "deployment", HERE / "test_benchmarks.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not POSTGRESQL:
        _keep_to_sqlite(config, items)
    for item in items:
        if FAULTS in item.path.parents:
            item.add_marker("fault")
        elif BROWSER in item.path.parents:
            item.add_marker("browser")
        elif not _starts_processes(item):
            item.add_marker("fast")
    items.sort(key=lambda item: _place(item.path))


def _place(path: Path) -> int:
    places = (number for number, first in enumerate(LONGEST_FIRST) if path.is_relative_to(first))
    return next(places, len(LONGEST_FIRST))


def _keep_to_sqlite(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs PostgreSQL, and uvicorn: `make run`, which uses SQLite, starts daphne."""
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        call = getattr(item, "callspec", None)
        uvicorn = call is not None and "uvicorn" in call.params.values()
        (left_out if uvicorn or item.get_closest_marker("postgresql") else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def _starts_processes(item: pytest.Item) -> bool:
    """Return whether a test may start a process beside PostgreSQL and Valkey, by what its module imports for that."""
    from tests.live import Server  # not before pytest-django has set Django up

    if any(item.path.is_relative_to(path) for path in WHOLE_STACK):
        return True
    module = vars(item.module) if isinstance(item, pytest.Function) else {}
    return any(value is Server or value is subprocess for value in module.values())
