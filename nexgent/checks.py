"""System checks of the environment itself."""

from __future__ import annotations

import difflib
import logging
import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's name for it

from nexgent.settings import env
from realtime.conf import conf

logger = logging.getLogger(__name__)

RENAMED = {"NEXGENT_HEALING_SECONDS": "NEXGENT_RECONCILE_SECONDS"}
# Not read by the settings: the tests' own, and what compose.yaml and deploy/roles.sql are given.
OF_TESTS = ("NEXGENT_TEST_", "NEXGENT_FUZZ_", "NEXGENT_BROWSER")
NOT_SETTINGS = {"NEXGENT_HOST", "NEXGENT_TLS_DIR", "NEXGENT_OWNER_PASSWORD", "NEXGENT_APP_PASSWORD"}


@register
def unknown_variables(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """W001: a NEXGENT_ variable that no setting reads, such as a misspelt one."""
    return [
        Warning(f"{name} is not a setting and has no effect.", hint=_hint(name), id="nexgent.W001")
        for name in sorted(os.environ)
        if name.startswith("NEXGENT_")
        and name not in env.names | NOT_SETTINGS
        and not name.startswith(OF_TESTS)
    ]


@register
def more_threads_than_connections(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """W003: the threads that query for sockets could take every connection, and HTTP would wait."""
    most = settings.DATABASES["default"].get("OPTIONS", {}).get("pool", {}).get("max_size")
    if most is None or most > conf.DATABASE_THREADS:
        return []
    problem = (
        f"NEXGENT_DATABASE_POOL_MAX, {most}, is not above NEXGENT_DATABASE_THREADS, {conf.DATABASE_THREADS}."
    )
    hint = "Sockets could take every connection to the database, and requests over HTTP would wait for one."
    return [Warning(problem, hint=hint, id="nexgent.W003")]


def log_warnings() -> None:
    """Log them: a server process runs no checks."""
    for found in (*unknown_variables(None), *more_threads_than_connections(None)):
        logger.warning("%s %s (%s)", found.msg, found.hint, found.id)


def _hint(name: str) -> str:
    if name in RENAMED:
        return f"It is called {RENAMED[name]} now."
    similar = difflib.get_close_matches(name, env.names, n=1, cutoff=0.8)
    return f"Did you mean {similar[0]}?" if similar else "docs/settings.md lists all settings."
