"""The format of log lines, with the ids of the request or socket that each is about.

JSON, one object per line, outside debug mode; text on a developer's terminal. No line contains a token. Used by LOGGING
in the settings, so imported before the apps are loaded.
"""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_TOKEN = re.compile(r"(?i)((?:token|access|refresh)=)[^&\s\"']+")
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")  # wherever it is, whatever it is called

request_id: ContextVar[str] = ContextVar("request_id", default="")
connection_id: ContextVar[str] = ContextVar("connection_id", default="")
"""The id of the socket that the current task serves; timers and tasks that it starts inherit it."""

# A record's other attributes are what its caller passed as `extra`.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def redact(text: str) -> str:
    return _JWT.sub("…", _TOKEN.sub(r"\1…", text))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = {"request_id": request_id.get(), "connection_id": connection_id.get()}
    # Django adds the request to its records, uvicorn a coloured copy of the message: neither becomes a field.
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
    """A line for people: the fields follow the message."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        line = super().formatMessage(record)
        return " ".join([line, *(f"{name}={value}" for name, value in _fields(record).items())])

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
