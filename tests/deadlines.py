"""Deadlines of the product that are longer in the tests: a machine that stands still for seconds is no outage.

An answer of Valkey within two seconds, a socket's join within a few: what a test is about would be refused, retried or
left to the reconciler instead, as it should. In this process, and as an app in the servers that tests share. A server
that a test starts for itself has those of the product.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig

from testbed.processes import PATIENCE_SECONDS

SERVERS_WANT = "NEXGENT_TEST_DEADLINES"
"""A variable of the environment: of servers that have this app."""


class Deadlines(AppConfig):
    name = "tests.deadlines"

    def ready(self) -> None:
        lengthen()


def lengthen() -> None:
    """Have this process wait for as long as a test does. Before it first connects to Valkey."""
    # Once Django is set up.
    from django.conf import settings

    from positions import valkey
    from realtime.hub import listener, membership
    from realtime.publish import broadcast

    changed: dict[Any, tuple[str, ...]] = {
        valkey: ("CONNECT_TIMEOUT_SECONDS", "ANSWER_TIMEOUT_SECONDS"),
        listener: ("READY_SECONDS",),
        broadcast: ("SEND_TIMEOUT_SECONDS",),
    }
    for module, names in changed.items():
        for name in names:
            assert isinstance(getattr(module, name), float)
            setattr(module, name, PATIENCE_SECONDS)
    membership.WAIT_SECONDS = (*membership.WAIT_SECONDS, PATIENCE_SECONDS)  # type: ignore[assignment]
    for host in settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"]:
        host.update(socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS)
