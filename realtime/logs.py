"""Keeps tokens out of logs. uvicorn writes each socket's path, query and all, into its log."""

from __future__ import annotations

import logging
import re

_TOKEN = re.compile(r"(?i)((?:token|access|refresh)=)[^&\s\"']+")
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")  # wherever it stands, however its name is written
SERVER_LOGGERS = (
    "uvicorn.error",
    "uvicorn.access",
    "daphne.server",
    "daphne.http_protocol",
    "daphne.ws_protocol",
)


def redact(text: str) -> str:
    return _JWT.sub("…", _TOKEN.sub(r"\1…", text))


class RedactTokens(logging.Filter):
    """Replaces the value of every `token=` in a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in record.args)
        if isinstance(record.msg, str):
            record.msg = redact(record.msg)
        return True


def redact_server_logs() -> None:
    """Put the filter on the servers' loggers themselves: it holds whatever handlers they are given."""
    for name in SERVER_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, RedactTokens) for known in logger.filters):
            logger.addFilter(RedactTokens())
