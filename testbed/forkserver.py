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
import gc
import importlib
import importlib.util
import inspect
import io
import json
import os
import re
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
LONGEST_ANSWER_BYTES = 32
LONGEST_QUEUE = 64
NOT_FOR_ITSELF = ("COVERAGE_", "PYTHONPATH")
"""Of the environment: what its processes take from theirs."""
PRELOADED = [
    "asyncio", "autobahn.twisted.websocket", "channels.generic.websocket", "channels.layers",
    "channels.middleware", "channels.routing", "channels.security.websocket", "channels_redis.pubsub",
    "click", "corsheaders.middleware", "cryptography.fernet", "cryptography.hazmat.primitives.serialization",
    "dj_database_url", "django.contrib.admin.options", "django.contrib.admin.views.main",
    "django.contrib.auth.hashers", "django.contrib.auth.management",
    "django.contrib.auth.password_validation", "django.contrib.auth.tokens", "django.contrib.auth.validators",
    "django.contrib.messages.middleware", "django.contrib.messages.storage.fallback",
    "django.contrib.postgres.fields", "django.contrib.sessions.backends.db",
    "django.contrib.sessions.middleware", "django.contrib.sites.shortcuts",
    "django.contrib.staticfiles.handlers", "django.contrib.staticfiles.storage", "django.core.handlers.asgi",
    "django.core.management", "django.core.management.commands.migrate",
    "django.db.backends.postgresql.psycopg_any", "django.db.backends.sqlite3.base",
    "django.db.migrations.executor", "django.db.models", "django.forms", "django.middleware.clickjacking",
    "django.middleware.common", "django.middleware.csrf", "django.middleware.security",
    "django.template.defaultfilters", "django.template.loader", "django.test", "django.urls",
    "django.views.debug", "drf_spectacular.checks", "h11", "httpx", "inflection", "jwt", "logging.config",
    "msgpack", "msgspec", "prometheus_client", "psycopg", "psycopg_pool", "pygments.formatters.html",
    "pygments.lexers.special", "redis.asyncio", "requests", "rest_framework.checks",
    "rest_framework.permissions", "rest_framework.serializers", "rest_framework.utils.breadcrumbs",
    "rest_framework.utils.encoders", "servestatic", "servestatic.checks", "servestatic.middleware",
    "servestatic.storage", "ssl", "twisted.internet.asyncioreactor", "twisted.internet.tcp",
    "twisted.web.http", "uritemplate", "urllib.request", "uvicorn.main", "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl", "websockets.asyncio.server", "websockets.server",
    "yaml",
]  # fmt: skip


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
                [sys.executable, "-m", "testbed.forkserver", *map(str, files), *measured],
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


def main() -> None:
    """Start what the other end of a connection asks for, and say how it ends, until the first of them is closed."""
    owner, listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    clients = [owner]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and then this
    select.select([owner, listener], [], [])
    for name in (*PRELOADED, *sys.argv[3:]):
        importlib.import_module(name)
    if sys.argv[3:]:
        # Coverage looks at the stack where it starts, and that at the file of each module: 0.1 s. It remembers them.
        inspect.stack()
    if "twisted.internet.reactor" in sys.modules:
        raise RuntimeError("Twisted's reactor is loaded: its descriptors would be those of every process")
    known = _Known(_learned())
    gc.collect()
    gc.freeze()
    woken, wake = socket.socketpair()
    wake.settimeout(0)  # as set_wakeup_fd wants it
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([*clients, listener, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _report(running)
        if listener in ready:
            clients.append(listener.accept()[0])
        asking = next((client for client in clients if client in ready), None)
        if asking is None:
            continue
        message, files, _, _ = socket.recv_fds(asking, 64, 5)
        if not message and asking is owner:
            return
        if not message:
            clients.remove(asking)
            asking.close()
            continue
        request, connection, *standard = files
        answers = socket.socket(fileno=connection)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for inherited in (*clients, listener, woken, wake, answers, *running.values()):
                inherited.close()
            _become(request, standard, known)
            return
        for file in (request, *standard):
            os.close(file)
        running[pid] = answers
        with contextlib.suppress(OSError):  # who asked may have ended, and the others go on
            answers.send(b"%d" % pid)


def _report(running: dict[int, socket.socket]) -> None:
    """Say of each process that has ended how it did."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as answers, contextlib.suppress(OSError):  # nobody may want to know any more
            answers.send(b"%d" % os.waitstatus_to_exitcode(status))


def _learned() -> dict[str, Any]:
    """Return what a server of this project loads that is not loaded here: its modules, and patterns that they compile.

    A child finds out: nothing of this project, and nothing that reads settings, is executed in this process.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as answer, contextlib.suppress(BaseException):
            json.dump(_loaded(), answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    learned: dict[str, Any] = json.loads(text or '{"modules": {}, "patterns": []}')
    return learned


def _loaded() -> dict[str, Any]:
    before, patterns, compile_pattern = set(sys.modules), [], re.compile

    def noted(pattern: Any, flags: Any = 0) -> Any:
        if isinstance(pattern, str):
            patterns.append((pattern, int(flags)))
        return compile_pattern(pattern, flags)

    re.compile = noted
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for name in [name for name in os.environ if name.startswith("NEXGENT_")]:
        del os.environ[name]
    os.environ.update(
        DJANGO_SETTINGS_MODULE="nexgent.settings",
        DATABASE_URL="sqlite:////none",
        NEXGENT_SECRET_KEY=32 * "none",
    )
    sys.path[0] = str(ROOT)
    importlib.import_module("nexgent.asgi")
    importlib.import_module("django.urls").get_resolver().reverse_dict  # noqa: B018  loads the views
    modules = {
        name: spec.origin
        for name, module in sys.modules.items()
        if name not in before
        and (spec := getattr(module, "__spec__", None)) is not None
        and type(spec.loader) is SourceFileLoader
    }
    return {"modules": modules, "patterns": patterns}


class _Known(MetaPathFinder):
    """Finds the modules that a server of this project loads, read once for all processes: 80 ms of each one's start."""

    def __init__(self, learned: Mapping[str, Any]) -> None:
        self._modules = {}
        for name, path in learned["modules"].items():
            loader = SourceFileLoader(name, path)
            self._modules[name] = _Compiled(name, path, loader.get_code(name), _version(path))
        for pattern, flags in learned["patterns"]:
            re.compile(pattern, flags)  # `re` keeps it

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        loader = self._modules.get(name)
        if loader is None or _version(loader.path) != loader.version:
            return None
        return importlib.util.spec_from_file_location(name, loader.path, loader=loader)


class _Compiled(SourceFileLoader):
    def __init__(self, name: str, path: str, code: types.CodeType | None, version: tuple[int, int]) -> None:
        super().__init__(name, path)
        self.version = version
        self._code = code

    def get_code(self, fullname: str) -> types.CodeType | None:
        return self._code


def _version(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  in a tenth of the time
    return status.st_mtime_ns, status.st_size


def _become(request: int, standard: Sequence[int], known: _Known) -> None:
    """Be the process that was asked for, as the interpreter would be at its start; return when it is at its end."""
    with os.fdopen(request, "rb") as text:
        text.seek(0)
        wanted = json.load(text)
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    os.chdir(wanted["folder"])
    if wanted["umask"] >= 0:
        os.umask(wanted["umask"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    raw: Any = io.FileIO(1, "w", closefd=False)
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    output = raw if unbuffered else io.BufferedWriter(raw)
    sys.stdout = io.TextIOWrapper(output, encoding=sys.stdout.encoding, write_through=unbuffered)
    del sys.modules["testbed"]  # it may be another one
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    if any(name in os.environ for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")):
        import coverage

        coverage.process_startup()
    kind, *sys.argv = wanted["arguments"]
    sys.path[:1] = [
        "" if kind == "-c" else wanted["folder"],
        *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
    ]
    if kind not in ("-m", "-c"):
        sys.argv.insert(0, kind)
        sys.path[0] = str(Path(kind).resolve().parent)
    if wanted["folder"] == str(ROOT) and sys.path[0] in ("", str(ROOT)) and not os.environ.get("PYTHONPATH"):
        sys.meta_path.insert(0, known)  # what it finds, the others would
    if kind == "-m":
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        code, sys.argv[0] = sys.argv[0], "-c"
        exec(compile(code, "<string>", "exec"), vars(main))  # noqa: S102
    else:
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    main()
