"""uvicorn's log without the two lines that it writes for every socket that it accepts.

The application accepts every socket, and says more of it: `socket opened` and `socket closed` (docs/metrics.md). Two
further lines were a tenth of what a socket costs to open under JSON logs. All else that uvicorn says is logged.
"""

from __future__ import annotations

import logging
from typing import Any

ACCEPTED = {'%s - "WebSocket %s" [accepted]', "connection open"}
"""What uvicorn and websockets say of each."""


class SocketLog:
    """Stands for uvicorn's logger in the protocols of its sockets."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def info(self, message: str, *args: object) -> None:
        if message not in ACCEPTED:
            self._logger.info(message, *args, stacklevel=2)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)


socket_log = SocketLog(logging.getLogger("uvicorn.error"))


class Path:
    """Writes the path and query of a scope once a log line has them."""

    def __init__(self, scope: Any, write: Any) -> None:
        self._scope, self._write = scope, write

    def __str__(self) -> str:
        return str(self._write(self._scope))
