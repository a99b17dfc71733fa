"""At most one `manage.py up` on a data folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another process holds the lock. The message is the note that it left."""


@contextmanager
def only_instance(lock: Path, *, note: str) -> Iterator[bool]:
    """Hold the lock, with a note for a second instance. Raises AlreadyRunningError.

    Yields whether the previous holder was killed, so that its children may still be running. The kernel releases
    the lock however the holder ends, but only a holder that exits by itself removes its note.
    """
    import fcntl  # not on Windows, where `up` should get as far as saying so

    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(os.pread(descriptor, 500, 0).decode(errors="replace")) from None
        was_killed = bool(os.pread(descriptor, 1, 0))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note.encode(), 0)
        try:
            yield was_killed
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
