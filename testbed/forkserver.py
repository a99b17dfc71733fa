"""Starts Python processes without importing Django, Twisted and the like each time: a server costs 0.15 s, not 0.8 s.

`start` and `run` stand in for `subprocess.Popen` and `subprocess.run`, for `python -m MODULE …`, `python FILE …` and
`python -c CODE`. A process that has imported other people's modules forks for each of them: this process's own, or one
of several together (`share`, `use`). Of this project, and of what reads settings, it has executed nothing, but it has
read the modules. What is started is a process as any other, with its own environment, folder, files and signals; only
its command line, as others see it, is that of the process it comes from.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from testbed.processes import ROOT

LONGEST_ANSWER_BYTES = 32
LONGEST_QUEUE = 64
NOT_FOR_ITSELF = ("COVERAGE_", "PYTHONPATH")
"""Of the environment: what its processes take from theirs."""


class Process:
    """A process that the fork server has started; its methods are those of `subprocess.Popen`."""

    def __init__(self, args: Sequence[object], connection: socket.socket) -> None:
        self.args = args
        self.returncode: int | None = None
        with connection:
            self.pid = int(connection.recv(LONGEST_ANSWER_BYTES))
            self._connection = connection.detach()
        self._lock = threading.Lock()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never started
            os.close(self._connection)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; that of a signal is negative. Raises subprocess.TimeoutExpired. Several may wait."""
        answered = select.poll()
        answered.register(self._connection, select.POLLIN)
        ready = answered.poll(None if timeout is None else 1000 * timeout)
        with self._lock:
            if self.returncode is None:
                if not ready:
                    raise subprocess.TimeoutExpired([str(arg) for arg in self.args], timeout or 0.0)
                self.returncode = int(os.read(self._connection, LONGEST_ANSWER_BYTES))
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code; None if the process is running."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    command: Sequence[object],
    *,
    env: Mapping[str, str],
    cwd: Path | str,
    stdout: IO[Any],
    stderr: IO[Any],
    stdin: IO[Any] | None = None,
    umask: int = -1,
) -> Process | subprocess.Popen[bytes]:
    """Start the command. What wants another interpreter, or other options, gets it.

    `umask`: -1 leaves it as it is here.
    """
    program, *arguments = map(str, command)
    if sys.platform != "linux" or program != sys.executable or _options(env) != _options(os.environ):
        return subprocess.Popen(
            [program, *arguments],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            umask=umask,
        )
    request = {"arguments": arguments, "environment": dict(env), "folder": str(cwd), "umask": umask}
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        return Process(command, _of_process(os.getpid()).ask(request, [stdin or nothing, stdout, stderr]))


def run(
    command: Sequence[object], *, env: Mapping[str, str], cwd: Path | str, timeout: float, umask: int = -1
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, and return what it wrote. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = start(command, env=env, cwd=cwd, stdout=output, stderr=errors, umask=umask)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(list(map(str, command)), code, output.read(), errors.read())


def _options(env: Mapping[str, str]) -> dict[str, str]:
    """Return what an interpreter reads at its start, but what `_become` does itself."""
    here = {"PYTHONUNBUFFERED", "PYTHONPATH"}
    return {name: env[name] for name in env if name.startswith("PYTHON") and env[name] and name not in here}


class ForkServer:
    """The process that forks, as seen by the one that made it, with which it ends. What it started lives on.

    `address`: of a Unix socket, where others may ask it, too. It imports nothing until somebody asks.
    """

    def __init__(self, address: Path) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(address))
            listener.listen(LONGEST_QUEUE)
            files = [theirs.fileno(), listener.fileno()]
            measured = ["coverage"] if any(name.startswith("COVERAGE_") for name in os.environ) else []
            self._process = subprocess.Popen(
                [sys.executable, "-m", "testbed.forking", *map(str, files), *measured],
                env={name: os.environ[name] for name in os.environ if not name.startswith(NOT_FOR_ITSELF)},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=files,
            )
        atexit.register(self.close)

    def close(self) -> None:
        self._control.close()
        self._process.wait()

    def ask(self, request: dict[str, Any], files: Sequence[IO[Any]]) -> socket.socket:
        """Have it start a process with these files as standard input, output and error; return where it answers."""
        return _ask(self._control, self._lock, request, files)


class SharedForkServer:
    """One that another process has made."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.connect(str(address))
        atexit.register(self._control.close)

    def ask(self, request: dict[str, Any], files: Sequence[IO[Any]]) -> socket.socket:
        return _ask(self._control, self._lock, request, files)


def _ask(
    control: socket.socket, lock: threading.Lock, request: dict[str, Any], files: Sequence[IO[Any]]
) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, tempfile.TemporaryFile() as text, lock:
        text.write(json.dumps(request).encode())
        text.flush()
        numbers = [text.fileno(), theirs.fileno(), *(file.fileno() for file in files)]
        socket.send_fds(control, [b"start"], numbers)
    return ours


_shared: list[Path] = []


def share(address: Path) -> None:
    """Make a fork server for this process and those that it starts and that call `use`. It ends with this one."""
    ForkServer(address)
    use(address)


def is_shared() -> bool:
    """Return whether others use the fork server, too: then it costs nothing more to use it for one process only."""
    return bool(_shared)


def use(address: Path) -> None:
    """Have processes started by the fork server that is shared at this address, not by one of this process's own."""
    _shared[:] = [address]


@cache
def _of_process(pid: int) -> ForkServer | SharedForkServer:
    """Return this process's own fork server or connection, not that of the process from which it was forked."""
    if _shared:
        return SharedForkServer(_shared[0])
    return ForkServer(Path(tempfile.mkdtemp(prefix="f-"), "forks"))


def program(*begin: str) -> str:
    """Return the text of a program that starts Python with its arguments, after these, and ends as that does.

    For where a command line is run by somebody else. Its own start takes a fiftieth of a second.
    """
    if sys.platform != "linux":
        return f'#!/bin/sh\nexec {shlex.join([sys.executable, *begin])} "$@"\n'
    code = Path(__file__).with_name("forked.py").read_text()
    address = _of_process(os.getpid()).address
    return f"#!{sys.executable} -IS\n{code}\nmain({str(address)!r}, {list(begin)!r})\n"
