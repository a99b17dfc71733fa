"""How the project's server processes are started, and how long to wait for anything they do."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path

# One constant that every wait is a multiple of: slow machines raise it.
PATIENCE_SECONDS = float(os.environ.get("NEXGENT_TEST_PATIENCE", "20"))
ROOT = Path(__file__).resolve().parent.parent


def command(kind: str, port: int, application: str = "nexgent.asgi:application") -> list[str]:
    """Return the command line that serves this project, as the README gives it."""
    python = sys.executable
    return {
        "daphne": [python, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), application],
        "uvicorn": [python, "-m", "uvicorn", "--ws", "websockets-sansio", "--port", str(port), application],
        "runserver": [python, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
    }[kind]


def free_port() -> int:
    """Return a port that nothing listens on, below those that Linux and macOS give to outgoing connections.

    One of those might be taken again before the server that is to have it has started, where several run side by side.
    Nor does another process get it from here as long as this one lives, a restart of the server included: the same
    number for UDP, which nothing else here uses, stays taken.
    """
    while True:
        port = 15_000 + secrets.randbelow(17_000)
        taken = socket.socket(type=socket.SOCK_DGRAM)
        try:
            taken.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            taken.close()
            continue
        _taken.append(taken.detach())
        return port


_taken: list[int] = []
"""Descriptors of the sockets that keep ports, to the end of this process."""
