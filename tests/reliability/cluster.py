"""A test cluster: its own real servers, writer and broadcaster, to break one by one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any, TextIO

from testbed import forkserver
from testbed.backends import PostgreSQL, Rig, Valkey
from testbed.templates import DATABASE, Templates
from tests.live import PATIENCE_SECONDS, ROOT, Server, free_port
from tests.positions.prices.price_api import PriceApi, serving
from tests.reliability.silent_proxy import ProxyThread, SilentProxy

WAIT_SECONDS = 4 * PATIENCE_SECONDS
"""For anything that a fault may delay."""
TOKENS = 24
"""As many as the price API takes in one request, about."""


def _pipe() -> tuple[TextIO, TextIO]:
    reading, writing = os.pipe()
    return os.fdopen(reading), os.fdopen(writing, "w")


class TraderProcess:
    """tests/reliability/trader.py, as a process of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        self.transactions = 0
        self.failures: Counter[str] = Counter()
        self._answers: Queue[Any] = Queue()
        commands, self._commands = _pipe()
        self._output, output = _pipe()
        with log.open("ab") as errors, commands, output:
            self._process = forkserver.start(
                [sys.executable, "-m", "tests.reliability.trader"],
                stdin=commands,
                stdout=output,
                stderr=errors,
                env=environment,
                cwd=ROOT,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, **command: Any) -> None:
        self._commands.write(json.dumps(command) + "\n")
        self._commands.flush()

    def ask(self, **command: Any) -> Any:
        """Send it a command and return its answer. Blocks."""
        self.send(**command)
        try:
            answer = self._answers.get(timeout=WAIT_SECONDS)
        except Empty:
            answer = None
        assert answer is not None, f"the trader does not answer:\n{self.log.read_text()}"
        return answer

    def close(self) -> None:
        self._commands.close()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(PATIENCE_SECONDS)
        self._output.close()

    def _read(self) -> None:
        for line in self._output:
            message = json.loads(line)
            if "answer" in message:
                self._answers.put(message["answer"])
            else:
                self.transactions, self.failures = message["transactions"], Counter(message["failures"])
        self._answers.put(None)


class Cluster(Rig):
    """The servers of an experiment. `kinds`: one server process for each, all on the same database and Valkey.
    `templates`: databases with tables, if there are any already. `proxied`: connections to the database and Valkey lead
    through proxies that can fall silent. `standby`: the database has a replica, and an address that can be switched.
    """

    postgresql: PostgreSQL | None = None
    standby: PostgreSQL | None = None
    proxies: tuple[SilentProxy, ...] = ()

    def __init__(
        self,
        folder: Path,
        *,
        kinds: Sequence[str],
        sockets: int,
        price_seconds: float = 0.5,
        positions: int = 3,
        sqlite: bool = False,
        proxied: bool = False,
        standby: bool = False,
        settings: Mapping[str, str] | None = None,
        templates: Templates | None = None,
    ) -> None:
        super().__init__(folder)
        self.sockets = sockets
        self._kinds = kinds
        self._price_seconds = price_seconds
        self._positions = positions
        self._sqlite, self._proxied, self._has_standby = sqlite, proxied, standby
        self._settings = settings or {}
        self._templates = templates or Templates(folder / "templates")
        self._broadcaster: forkserver.Process | subprocess.Popen[bytes] | None = None
        self._logs_read: dict[Path, int] = {}

    def _start(self) -> None:
        self.price_api: PriceApi = self._stack.enter_context(serving())
        self.valkey = Valkey(self.folder / "valkey")
        self._stack.callback(self.valkey.close)
        self.valkey.start()
        if self._sqlite:
            file = shutil.copy(self._templates.file(), self.folder / "nexgent.sqlite3")
            database_url = f"sqlite:///{file}"
        else:
            self.postgresql = PostgreSQL(self.folder / "pg", template=self._templates.cluster())
            self._stack.callback(self.postgresql.close)
            database_url = self._address(self.postgresql)
        redis_url = self.valkey.url
        if self._proxied:
            assert self.postgresql is not None
            sockets = f"{self.postgresql.host}/.s.PGSQL.5432", str(self.valkey.socket)
            database, valkey = (self._stack.enter_context(ProxyThread(each)) for each in sockets)
            database_url = f"postgresql://postgres@127.0.0.1:{database.port}/{DATABASE}?connect_timeout=2"
            redis_url = f"redis://127.0.0.1:{valkey.port}"
            self.proxies = database.proxy, valkey.proxy
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "nexgent.settings",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "NEXGENT_DATA_DIR": str(self.folder / "var"),
            "NEXGENT_DEBUG": "true",
            "NEXGENT_ACCESS_TOKEN_MINUTES": "600",
            # As by default: that of other tests would leave a query that a silent network swallowed for ten minutes.
            "NEXGENT_DATABASE_ANSWER_SECONDS": "10",
            "NEXGENT_DEXSCREENER_URL": self.price_api.url,
            "PYTHONUNBUFFERED": "1",
            **self._settings,
        }
        self.trader = TraderProcess(self.environment, self.folder / "trader.log")
        self._stack.callback(self.trader.close)
        world = self.trader.ask(do="prepare", agents=self.sockets, tokens=TOKENS, positions=self._positions)
        self.agents: list[str] = world["agents"]
        self.tokens: list[str] = world["tokens"]
        self.access: str = world["access"]
        self.servers = [
            Server(kind, log=self.folder / f"server-{number}.log", port=free_port(), **self.environment)
            for number, kind in enumerate(self._kinds)
        ]
        for server in self.servers:
            self._stack.callback(server.__exit__)
            server.start()
        self._stack.callback(self.kill_broadcaster)
        self.broadcast("simulated")

    def _address(self, postgresql: PostgreSQL) -> str:
        """Return what reaches the database; with a standby through a link to the folder of the one that is primary."""
        if not self._has_standby:
            return postgresql.url_of("postgres", "", DATABASE)
        self.standby = postgresql.standby(self.folder / "standby")
        self._stack.callback(self.standby.close)
        (self.folder / "primary").symlink_to(postgresql.host)
        return f"postgresql://postgres:@/{DATABASE}?host={self.folder}/primary"

    def fail_over(self) -> None:
        """Let the database's address lead to the standby, which is promoted."""
        assert self.standby is not None
        self.standby.promote()
        link = self.folder / "primary.new"
        link.symlink_to(self.standby.host)
        link.replace(self.folder / "primary")

    def broadcast(self, source: str) -> None:
        """Start the process that broadcasts prices."""
        interval = str(self._price_seconds)
        with (self.folder / "broadcaster.log").open("ab") as log:
            self._broadcaster = forkserver.start(
                [sys.executable, "manage.py", "broadcast_prices", "--source", source, "--interval", interval],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def stop_broadcaster(self) -> None:
        """End it properly: it gives its lease back."""
        assert self._broadcaster is not None
        self._broadcaster.send_signal(signal.SIGTERM)
        assert self._broadcaster.wait(WAIT_SECONDS) == 0

    def kill_broadcaster(self) -> None:
        if self._broadcaster is not None:
            self._broadcaster.kill()
            self._broadcaster.wait()

    def kill(self, server: Server) -> None:
        assert server.process is not None
        server.process.kill()
        server.process.wait()

    def running(self) -> list[Server]:
        return [server for server in self.servers if server.process and server.process.poll() is None]

    def new_log_lines(self) -> dict[str, str]:
        """Return what each of the servers, and the broadcaster, has logged since the last call."""
        new = {}
        for path in sorted(self.folder.glob("*.log")):
            text = path.read_text(errors="replace")
            new[path.stem] = text[self._logs_read.get(path, 0) :]
            self._logs_read[path] = len(text)
        return new
