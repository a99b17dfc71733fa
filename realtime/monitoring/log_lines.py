"""The format of log lines, with the ids of the request or socket that each is about.

JSON, one object per line, outside debug mode; text on a developer's terminal. No line contains a token (redaction.py):
what is about to be written is looked at as a whole, however it was put together. Used by LOGGING in the settings, so
imported before the apps are loaded.
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from positions.books.terminal import printable, printable_json
from realtime.monitoring.redaction import HIDDEN, is_secret, is_suspicious, redact

request_id: ContextVar[str] = ContextVar("request_id", default="")
connection_id: ContextVar[str] = ContextVar("connection_id", default="")
"""The id of the socket that the current task serves; timers and tasks that it starts inherit it."""

# A record's other attributes are what its caller passed as `extra`.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = {"request_id": request_id.get(), "connection_id": connection_id.get()}
    # Django adds the request to its records, uvicorn a coloured copy of the message: neither becomes a field.
    found |= {
        name: value
        for name, value in vars(record).items()
        if name not in _OWN and isinstance(value, str | int | float) and name != "color_message"
    }
    return {name: value for name, value in found.items() if value != ""}


_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

MISFITS = (TypeError, ValueError, LookupError)
"""What a message raises whose arguments do not fit it. `logging` would print both to standard error, as they are."""


def message_of(record: logging.LogRecord) -> str:
    """Return the message, or it and its arguments where they do not fit."""
    try:
        return record.getMessage()
    except MISFITS:
        return f"{record.msg} {record.args!r}"


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", …}`, a traceback in one string."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        text = _encode(line)
        # Not the text itself is redacted, in which quotes and line ends are escaped, but what stands in it.
        if is_suspicious(text) and (redacted := _redacted(line)) != line:
            text = _encode(redacted)
        return printable_json(text)


def _redacted(line: dict[str, Any]) -> dict[str, Any]:
    return {
        name: HIDDEN if is_secret(name) else redact(value) if isinstance(value, str) else value
        for name, value in line.items()
    }


class TextFormatter(logging.Formatter):
    """A line for people: the fields follow the message."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        line = super().formatMessage(record)
        line = " ".join([line, *(f"{name}={value}" for name, value in _fields(record).items())])
        return printable(line, keep="\t")  # nor can a text begin a line that looks like another message

    def format(self, record: logging.LogRecord) -> str:
        try:
            text = super().format(record)
        except MISFITS:
            broken = logging.makeLogRecord({**vars(record), "msg": message_of(record), "args": ()})
            text = super().format(broken)
        return printable(redact(text))
