"""Installs what the server of this process lacks. A process that serves nothing does not load one for that: daphne, and
Twisted with it, cost 0.2 s of CPU and 20 MB.
"""

from __future__ import annotations

import sys


def install() -> None:
    """Change the servers that are loaded by now; the same again changes nothing."""
    if "daphne.server" in sys.modules:
        from realtime.servers import daphne

        daphne.install()
    if "uvicorn" in sys.modules:
        from realtime.servers import uvicorn

        uvicorn.install()
