"""The servers behind a benchmark, and who populates them: shared by all rows of a run."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import Child
from benchmarks.rows import Row
from benchmarks.side import Side
from tests.reliability.machines import PostgreSQL, Premises, Valkey

STATEMENT = re.compile(r'(statement|execute \S+): .*"(auth_user|positions_)')


class Stage(Premises):
    """A PostgreSQL, a Valkey and whoever populates them, shared by all rows of a run."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._populated: dict[int, int] = {}
        self._logs = 0
        self._valkeys = 0

    def _start(self) -> None:
        self.postgresql = PostgreSQL(self.folder / "pg")
        self._stack.callback(self.postgresql.close)
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "nexgent.settings",
            "DATABASE_URL": self.postgresql.url,
            "REDIS_URL": self.start_valkey().url,
            "NEXGENT_DATA_DIR": str(self.folder / "var"),
            "NEXGENT_DEBUG": "false",  # as in production: in debug mode Django keeps every statement
            "NEXGENT_SECRET_KEY": secrets.token_urlsafe(64),
            "NEXGENT_ALLOWED_HOSTS": "127.0.0.1",
            "NEXGENT_ACCESS_TOKEN_MINUTES": "600",
            "NEXGENT_CONNECTS_PER_SECOND": "20000",  # otherwise 200 a second after the first 2,000
            "PYTHONUNBUFFERED": "1",
        }
        self._bot = self.bot({})
        self.token = self._bot.ask("migrate")

    def start_valkey(self) -> Valkey:
        """Start one more: each row has its own, or it would hear the prices of the others."""
        self._valkeys += 1
        valkey = Valkey(self.folder / f"{self._valkeys}" / "valkey")
        valkey.folder.parent.mkdir()
        self._stack.callback(valkey.close)
        valkey.start()
        return valkey

    def log(self, name: str) -> Path:
        self._logs += 1
        return self.folder / f"{self._logs}-{name}.log"

    def bot(self, environment: Mapping[str, str]) -> Child:
        return self.child("benchmarks.bot", environment=environment)

    def child(self, module: str, *arguments: str, environment: Mapping[str, str]) -> Child:
        log = self.log(module.removeprefix("benchmarks."))
        child = Child(module, *arguments, environment={**self.environment, **environment}, log=log)
        self._stack.callback(child.close)
        return child

    def populate(self, *, agents: int, tokens: int) -> None:
        """See to it that the market of so many tokens has at least so many agents."""
        have = self._populated.get(tokens, 0)
        if agents > have:
            self._bot.ask("populate", first=have, count=agents - have, tokens=tokens, timeout_seconds=300)
            self._populated[tokens] = agents

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Collect what PostgreSQL is asked about users and positions meanwhile, the periodic reconciler aside."""
        log = Path(self.postgresql._server.log)
        self._set("log_statement", "all")
        begin = log.stat().st_size
        found: list[str] = []
        try:
            yield found
        finally:
            self._set("log_statement", "none")
            with log.open(errors="replace") as lines:
                lines.seek(begin)
                found += [line for line in lines if STATEMENT.search(line) and " IN (" not in line]

    def _set(self, name: str, value: str) -> None:
        self.postgresql._server.psql(f"ALTER SYSTEM SET {name} = '{value}';")
        self.postgresql._server.psql("SELECT pg_reload_conf();")

    def side(
        self,
        row: Row,
        *,
        sockets: int,
        tokens: int,
        processes: int = 1,
        first_agent: int = 0,
        connected: bool = True,
        slow: int = 0,
    ) -> Side:
        """Start a row: `sockets` clients for each of its server processes. Raises ChildError, MissingError.

        `first_agent`: where its agents begin, for rows whose database is written to. `slow`: so many of the clients
        can stop reading at once.
        """
        if row.way in {"ours", "tutorial"}:
            self.populate(agents=first_agent + sockets * processes, tokens=tokens)
        side = Side(self, row, sockets=sockets, tokens=tokens)
        self._stack.callback(side.close)
        for number in range(processes):
            side.start_server(first_agent=first_agent + number * sockets)
        if side.broadcaster is not None:
            side.broadcaster.ask("prepare", tokens=tokens, first=first_agent, agents=sockets * processes)
        if connected:
            side.connect(sockets, slow=slow)
        return side
