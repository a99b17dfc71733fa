"""System checks of the environment itself."""

from __future__ import annotations

import difflib
import os
from typing import Any

from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's name for it

from nexgent.settings import env

RENAMED = {"NEXGENT_HEALING_SECONDS": "NEXGENT_RECONCILE_SECONDS"}
# Not read by the settings: the tests' own, and what compose.yaml and deploy/roles.sql are given.
NOT_SETTINGS = (
    "NEXGENT_TEST_",
    "NEXGENT_FUZZ_",
    "NEXGENT_BROWSER",
    "NEXGENT_HOST",
    "NEXGENT_TLS_DIR",
    "NEXGENT_OWNER_PASSWORD",
    "NEXGENT_APP_PASSWORD",
)


@register
def unknown_variables(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """W001: a NEXGENT_ variable that no setting reads, such as a misspelt one."""
    return [
        Warning(f"{name} is not a setting and has no effect.", hint=_hint(name), id="nexgent.W001")
        for name in sorted(os.environ)
        if name.startswith("NEXGENT_") and name not in env.names and not name.startswith(NOT_SETTINGS)
    ]


def _hint(name: str) -> str:
    if name in RENAMED:
        return f"It is called {RENAMED[name]} now."
    similar = difflib.get_close_matches(name, env.names, n=1, cutoff=0.8)
    return f"Did you mean {similar[0]}?" if similar else "docs/settings.md lists all settings."
