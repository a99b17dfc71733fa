"""How this project's log lines look, and what each knows of the request or the socket that it is about.

JSON, one object a line, outside debug mode; text on a developer's terminal. Whatever logs: no token is in a line. Used
by LOGGING in the settings, hence imported before the apps are there.
"""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_TOKEN = re.compile(r"(?i)((?:token|access|refresh)=)[^&\s\"']+")
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")  # wherever it stands, however its name is written

request_id: ContextVar[str] = ContextVar("request_id", default="")
connection_id: ContextVar[str] = ContextVar("connection_id", default="")
"""Of the socket that the running task serves; timers and tasks that it starts have it too."""

# What a record has besides is what its caller gave as `extra`.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def redact(text: str) -> str:
    return _JWT.sub("…", _TOKEN.sub(r"\1…", text))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = {"request_id": request_id.get(), "connection_id": connection_id.get()}
    # Django gives its records the request, uvicorn its own a coloured copy of the message: no fields of a line.
    found |= {
        name: value
        for name, value in vars(record).items()
        if name not in _OWN and isinstance(value, str | int | float) and name != "color_message"
    }
    return {name: value for name, value in found.items() if value != ""}


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", …}`, a traceback in one string."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return redact(json.dumps(line, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """A line for people: the fields stand behind the message."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        line = super().formatMessage(record)
        return " ".join([line, *(f"{name}={value}" for name, value in _fields(record).items())])

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
