"""The process that forks for those who ask `testbed.forkserver`, and what a new process does first."""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.known_modules import KnownModules, learned
from testbed.processes import ROOT

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
    known = KnownModules(learned())
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


def _become(request: int, standard: Sequence[int], known: KnownModules) -> None:
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
    for name in [name for name in sys.modules if name.partition(".")[0] == "testbed"]:
        del sys.modules[name]  # it may be another one
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
