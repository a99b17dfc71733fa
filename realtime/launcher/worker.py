"""Run daphne or uvicorn so that it says when it listens: `python -m realtime.launcher.worker daphne|uvicorn …`.

It prints LISTENING, by which the supervisor knows that a process can take the place of another. Private APIs:
docs/private-apis.md.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

LISTENING = "The server listens."


def main() -> None:
    del sys.argv[0]
    if sys.argv[0] == "daphne":
        _daphne()
    else:
        _uvicorn()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _say_so() -> None:
    sys.stdout.write(f"{LISTENING}\n")
    sys.stdout.flush()


def _daphne() -> None:
    from daphne.server import Server

    listen_success = Server.listen_success

    def said(self: Any, port: Any) -> None:
        listen_success(self, port)
        _say_so()

    Server.listen_success = said


def _uvicorn() -> None:
    from uvicorn import Server

    startup = Server.startup

    async def said(self: Any, sockets: Any = None) -> None:
        await startup(self, sockets)
        if self.started:
            _say_so()

    Server.startup = said  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
