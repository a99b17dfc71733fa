"""Filters for what libraries log: no tokens, and one line per outage of Redis or Valkey.

uvicorn logs each socket's path with its query. channels_redis 4.3.0 logs a traceback every second while its server is
unavailable, in every process.
"""

from __future__ import annotations

import logging
from time import monotonic

from redis.exceptions import RedisError

from realtime.monitoring.log_lines import redact
from realtime.monitoring.metrics import counts

SERVER_LOGGERS = (
    "uvicorn.error",
    "uvicorn.access",
    "daphne.server",
    "daphne.http_protocol",
    "daphne.ws_protocol",
)
CHANNEL_LAYER_LOGGER = "channels_redis.pubsub"
# Longer than the time between two attempts of the channel layer.
OUTAGE_OVER_SECONDS = 30.0


class RedactTokens(logging.Filter):
    """Removes tokens from a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in record.args)
        if isinstance(record.msg, str):
            record.msg = redact(record.msg)
        return True


class OncePerOutage(logging.Filter):
    """Reduces an outage of Redis or Valkey to one line without a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._last: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, RedisError | OSError):
            return True
        counts.channel_layer_errors["receive"] += 1  # each one, though only the first is logged
        last, self._last = self._last, monotonic()
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = (
            "the channel layer's server is unavailable; retrying: %s",
            (str(error),),
        )
        record.exc_info = record.exc_text = None
        return last is None or self._last - last > OUTAGE_OVER_SECONDS


def install() -> None:
    """Put the filters on the loggers themselves, so that they apply to every handler."""
    for name in SERVER_LOGGERS:
        _add(name, RedactTokens)
    _add(CHANNEL_LAYER_LOGGER, OncePerOutage)


def _add(name: str, kind: type[logging.Filter]) -> None:
    logger = logging.getLogger(name)
    if not any(isinstance(known, kind) for known in logger.filters):
        logger.addFilter(kind())
