"""Run a Python module as a child that does not outlive its parent: `python -m realtime.launcher.watchdog MODULE …`.

Standard input is a pipe that nobody writes to and whose other end only the parent has open. However the parent
ends, `kill -9` included, the kernel closes that end; the child then gets SIGTERM, for a graceful shutdown, and is
killed after `GRACE_SECONDS`.

Why not Linux's PR_SET_PDEATHSIG: it does not exist elsewhere, it must be set between fork and exec, and it
fires when the *thread* that forked ends (prctl(2)), not the process.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

STDIN = 0
GRACE_SECONDS = 12.0


def main() -> None:
    threading.Thread(target=_exit_with_parent, name="watchdog", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _exit_with_parent() -> None:
    while os.read(STDIN, 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
