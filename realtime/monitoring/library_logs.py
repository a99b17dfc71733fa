"""Filters for what libraries log, on their own loggers: no tokens (redaction.py), and one line per outage (outages.py).

uvicorn logs each socket's path with its query; our formatters hide the token, but a project may have others.
channels_redis 4.3.0 logs a traceback every second while its server is unavailable, in every process.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from realtime.monitoring.log_lines import MISFITS, message_of
from realtime.monitoring.metrics import counts
from realtime.monitoring.outages import OncePerOutage
from realtime.monitoring.redaction import redact

SERVER_LOGGERS = (
    "uvicorn.error",
    "uvicorn.access",
    "daphne.server",
    "daphne.http_protocol",
    "daphne.ws_protocol",
)
CHANNEL_LAYER_LOGGER = "channels_redis.pubsub"
# Of the last two kinds is what redis-py says where a connection is closed while another task reads from it.
LOST = (RedisError, OSError, AttributeError, RuntimeError)


class RedactTokens(logging.Filter):
    """Removes tokens from a record, for handlers whose formatters are not ours.

    Arguments stay apart where that suffices: uvicorn's own formatter takes those of `uvicorn.access`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        text = message_of(record)
        clean = redact(text)
        if clean == text:
            return True
        if isinstance(record.args, tuple):
            record.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in record.args)
        try:
            is_clean = record.getMessage() == clean
        except MISFITS:
            is_clean = False
        if not is_clean:  # a token that several arguments are parts of, say
            record.msg, record.args = clean, ()
        return True


class WithoutTraceback(logging.Filter):
    """Makes of an outage's traceback, which the channel layer logs, a warning with the error."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, LOST):
            counts.channel_layer_errors["receive"] += 1  # each one, though only the first is logged
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg = "the channel layer's server is unavailable; retrying: %s"
            record.args = (str(error),)
            record.exc_info = record.exc_text = None
        return True


def install() -> None:
    """Put the filters on the loggers themselves, so that they apply to every handler."""
    for name in SERVER_LOGGERS:
        _add(name, RedactTokens)
    _add(CHANNEL_LAYER_LOGGER, WithoutTraceback)
    _add(CHANNEL_LAYER_LOGGER, OncePerOutage)


def _add(name: str, kind: type[logging.Filter]) -> None:
    logger = logging.getLogger(name)
    if not any(isinstance(known, kind) for known in logger.filters):
        logger.addFilter(kind())
