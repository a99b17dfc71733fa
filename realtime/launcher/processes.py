"""The children of `manage.py up`: Python modules with this project's settings, and daphne or uvicorn among them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.conf import settings

from realtime.conf import conf
from realtime.launcher.child import DESCRIPTOR, Child
from realtime.launcher.listeners import Listener, listeners
from realtime.launcher.worker import LISTENING

DAPHNE = ["-v", "0", "--websocket_timeout", "-1"]
"""No line for each request; a page stays open for longer than a day."""
UVICORN = [
    "--ws", "websockets-sansio", "--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "8",
    "--ws-per-message-deflate", "false",  # costs more than a message itself
]  # fmt: skip


def our_child(
    name: str,
    module: str,
    *arguments: str,
    ready_line: str | None = None,
    listener: Listener | None = None,
) -> Child:
    """Return a child that runs a Python module with our settings, and stops when this process ends, even if killed."""
    path = [str(getattr(settings, "BASE_DIR", Path.cwd())), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "NEXGENT_DATA_DIR": str(conf.DATA_DIR),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONUNBUFFERED": "1",
    }
    return Child(
        name,
        [sys.executable, "-m", "realtime.launcher.watchdog", module, *arguments],
        environment=environment,
        stop_seconds=10.0 + conf.DRAIN_SECONDS,
        ready_line=ready_line,
        listener=listener,
    )


def servers(server: str, host: str, port: int, count: int) -> list[Child]:
    """Return the children that serve the application on a port. Raises OSError where several cannot listen there."""
    application = ":".join(settings.ASGI_APPLICATION.rsplit(".", 1))
    command = [server, *(DAPHNE if server == "daphne" else UVICORN), application]
    if count == 1:
        names = ["-b", "-p"] if server == "daphne" else ["--host", "--port"]
        return [our_child("server", *command, names[0], host, names[1], str(port))]
    return [
        our_child(
            f"server {number}",
            "realtime.launcher.worker",
            *command,
            "--fd",
            DESCRIPTOR,
            ready_line=LISTENING,
            listener=listener,
        )
        for number, listener in enumerate(listeners(host, port, count), 1)
    ]
