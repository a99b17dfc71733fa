"""Files that only their owner may read, whatever the umask: the SQLite database has password hashes and positions."""

from __future__ import annotations

import glob
import os
import sqlite3
from pathlib import Path
from typing import Any


class PrivateConnection(sqlite3.Connection):
    """Creates a database with mode 0600; SQLite gives its -wal, -shm and -journal the same.

    So does one that exists and is for everybody, as older releases made it; one for a group is somebody's decision. It
    is not opened for that: closing it would drop the locks of the process's other connections (SQLite, "How To Corrupt
    An SQLite Database File", 2.2).
    """

    def __init__(self, database: Any, *arguments: Any, **options: Any) -> None:
        path, reason = os.fspath(database), ""
        if not path.startswith((":memory:", "file:")):
            try:
                _make_private(Path(path))
            except OSError as error:
                reason = f": {error.strerror}"
        try:
            super().__init__(database, *arguments, **options)
        except sqlite3.OperationalError as error:  # it names no file
            raise sqlite3.OperationalError(f"{error}: {path}{reason}") from None


def _make_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o007:
            for file in (path, *path.parent.glob(f"{glob.escape(path.name)}-*")):
                file.chmod(0o600)
