"""Access tokens for a test's users."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from django.db import connections
from rest_framework_simplejwt.tokens import AccessToken

from positions.accounts.families import issue
from realtime.testing import PATIENCE_SECONDS

R = TypeVar("R")


def elsewhere(query: Callable[[], R]) -> R:
    """Run it in a thread, on a connection of its own, since Django runs no query where an event loop runs."""

    def run() -> R:
        try:
            return query()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(PATIENCE_SECONDS)


def access_token(
    user: Any, *, read_only: bool = False, lifetime: timedelta = timedelta(minutes=30)
) -> AccessToken:
    """Return a new access token of an active user; its text is `str(…)`. Where an event loop runs, too.

    There the user must be committed, as with `transactional_db`. Raises NotActive.
    """

    def issued() -> AccessToken:
        return issue(user, lifetime=lifetime, read_only=read_only)

    return elsewhere(issued) if asyncio._get_running_loop() else issued()


def token_for(user: Any, *, read_only: bool = False, lifetime: timedelta = timedelta(minutes=30)) -> str:
    """Return what `access_token` does, as the text that clients send."""
    return str(access_token(user, read_only=read_only, lifetime=lifetime))
