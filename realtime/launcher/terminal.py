"""Whether this process has a terminal: of what SIGHUP tells, that it was closed or that somebody sent it."""

from __future__ import annotations

import os


def has_terminal() -> bool:
    """Return whether there is a controlling terminal. Once it is closed there is none (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
