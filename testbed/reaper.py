"""Ends what a killed process leaves behind: `python reaper.py FOLDER`, started by `testbed.scratch`.

Standard input is a pipe whose other end only that process has open. However it ends, `kill -9` included, the kernel
closes that end. Whatever then still has the folder in its command line or environment is ended, and the folder deleted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

GRACE_SECONDS = 5.0


def main() -> None:
    folder = sys.argv[1]
    os.setsid()  # Ctrl-C, and a terminal that closes, are not for it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    # PostgreSQL, Valkey, daphne and uvicorn all shut down in order on this one.
    _signal(_users_of(folder), signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    while (users := _users_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)  # between two checks of a condition
    _signal(users, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _users_of(folder: str) -> list[int]:
    """Return the processes that were started with the folder's name, but this one. Without /proc there are none."""
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if int(process.name) != os.getpid() and folder.encode() in _start_of(process)
    ]


def _start_of(process: Path) -> bytes:
    """Return the process's command line and environment; nothing where it has ended or is another user's."""
    try:
        return (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except OSError:
        return b""


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(process, number)


if __name__ == "__main__":
    main()
