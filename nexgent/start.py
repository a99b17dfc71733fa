"""Reads the settings when a process starts. Imported by manage.py and asgi.py, before anything that needs them."""

from __future__ import annotations

import logging
import os
import sys
from traceback import format_exception
from types import TracebackType

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from positions.books.terminal import printable
from positions.management.output import json_formatter


def read_settings() -> None:
    """Read them; raise SystemExit with what is wrong, a line each and no traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexgent.settings")
    try:
        settings.INSTALLED_APPS  # noqa: B018  reads them
    except ImproperlyConfigured as error:
        raise SystemExit(printable(str(error))) from None
    sys.excepthook = _log_crash


def _log_crash(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Log what ends the process as any other error, where the log has another format than Python's.

    Else show what Python does, harmless on a terminal: `loaddata` quotes the dump that it cannot load.
    """
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    elif json_formatter() is None or not logging.getLogger().handlers:
        sys.stderr.write(printable("".join(format_exception(kind, error, traceback))))
    else:
        logging.getLogger("nexgent").critical(
            "the process ends: %s", error, exc_info=(kind, error, traceback)
        )
