"""For programs that start their own servers, before Django reads its settings: a folder for them, and no settings
from the machine's environment.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def make(prefix: str, *, proxies: bool = False) -> Path:
    """Return a new folder, gone when the process ends; let `NEXGENT_DATA_DIR` and temporary files lie in it.

    `proxies`: whether to keep the machine's, for those that load something from elsewhere.

    SIGTERM and a terminal that closes run the clean-up, too; after a `kill -9` testbed/reaper.py does it. Without it
    the servers would stay.
    """
    # Short: a Unix socket's path must fit into 100 bytes.
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    # PostgreSQL refuses to run as root; its wheel starts it as another user, who must get in.
    folder.chmod(0o755)
    # Registered first, so it runs last: PostgreSQL's own clean-up needs the folder.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _reapers.append(_reaper(folder))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, frame: sys.exit(128 + signum))
    # A shell lets what it starts in the background ignore this one; so would the servers that are started from here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The PostgreSQL wheel's lock file lies in the temporary folder: without this, in one shared by all users.
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.environ["NEXGENT_DATA_DIR"] = str(folder / "var")
    for name in ("XDG_RUNTIME_DIR", "DATABASE_URL", "REDIS_URL", *(() if proxies else PROXIES)):
        os.environ.pop(name, None)
    return folder


_reapers: list[int] = []
"""The ends of pipes that are open as long as this process lives: each reaper reads the other one."""


def _reaper(folder: Path) -> int:
    """Start one; return the end of its pipe. It is no `Popen`, which would warn at exit that it is still running."""
    standard_input, kept = os.pipe()
    os.posix_spawn(
        sys.executable,
        # Without site-packages: it needs none, and starts in half the time.
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py")), str(folder)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, standard_input, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ],
    )
    os.close(standard_input)
    return kept
