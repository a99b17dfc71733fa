"""The servers behind a benchmark, and the process that fills them: shared by all rows of a run."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import Child, Start
from testbed.backends import PostgreSQL, Rig, Valkey
from testbed.templates import DATABASE, Templates

SHARED = re.compile(r"unnest\(|positions_restore")
STATEMENT = re.compile(r'(statement|execute \S+): .*"(auth_user|positions_)')


class Stage(Rig):
    """A PostgreSQL, a Valkey and the process that fills them, shared by all rows of a run.

    `on_sqlite`: a file instead of PostgreSQL; `statements` is not to be had then. `start`: how its processes are
    started. `templates`: databases to copy, instead of making one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_sqlite: bool = False,
        start: Start = subprocess.Popen,
        templates: Templates | None = None,
    ) -> None:
        super().__init__(folder)
        self.start = start
        self._templates = templates
        self._on_sqlite = on_sqlite
        self._populated: dict[int, int] = {}
        self._logs = 0
        self._valkeys = 0

    def _start(self) -> None:
        if self._on_sqlite:
            file = self.folder / "nexgent.sqlite3"
            if self._templates is not None:
                shutil.copy(self._templates.file(), file)
            database = f"sqlite:///{file}"
        else:
            template = None if self._templates is None else self._templates.cluster()
            self.postgresql = PostgreSQL(self.folder / "pg", template=template)
            self.on_close(self.postgresql.close)
            database = (
                self.postgresql.url if template is None else self.postgresql.url_of("postgres", "", DATABASE)
            )
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "nexgent.settings",
            "DATABASE_URL": database,
            "REDIS_URL": self.start_valkey().url,
            "NEXGENT_DATA_DIR": str(self.folder / "var"),
            "NEXGENT_DEBUG": "false",  # as in production: in debug mode Django keeps every statement
            "NEXGENT_SECRET_KEY": secrets.token_urlsafe(64),
            "NEXGENT_ALLOWED_HOSTS": "127.0.0.1",
            "NEXGENT_SSL_REDIRECT": "false",
            "NEXGENT_ACCESS_TOKEN_MINUTES": "600",
            "NEXGENT_CONNECTS_PER_SECOND": "20000",  # otherwise 200 a second after the first 2,000
            # All sockets are of one user.
            "NEXGENT_USER_SOCKETS": "1000000",
            "NEXGENT_USER_CONNECTS_PER_SECOND": "20000",
            "NEXGENT_USER_CONNECT_BURST": "2000",
            "NEXGENT_USER_ROWS_PER_SECOND": "1000000",
            "NEXGENT_USER_ROWS_BURST": "1000000",
            "PYTHONUNBUFFERED": "1",
        }
        self._bot = self.bot({})
        self.token = self._bot.ask("migrate")

    def on_sqlite(self) -> Stage:
        """Return another one, in a folder of this one."""
        return Stage(self.folder / "sqlite", on_sqlite=True, start=self.start, templates=self._templates)

    def start_valkey(self) -> Valkey:
        """Start another Valkey: each row has its own, or it would receive the prices of the others."""
        self._valkeys += 1
        valkey = Valkey(self.folder / f"{self._valkeys}" / "valkey")
        valkey.folder.parent.mkdir()
        self.on_close(valkey.close)
        valkey.start()
        return valkey

    def log(self, name: str) -> Path:
        self._logs += 1
        return self.folder / f"{self._logs}-{name}.log"

    def bot(self, environment: Mapping[str, str]) -> Child:
        return self.child("benchmarks.bot", environment=environment)

    def child(self, module: str, *arguments: str, environment: Mapping[str, str]) -> Child:
        log = self.log(module.removeprefix("benchmarks."))
        child = Child(
            module, *arguments, environment={**self.environment, **environment}, log=log, start=self.start
        )
        self.on_close(child.close)
        return child

    def populate(self, *, agents: int, tokens: int, missed: int = 0) -> None:
        """Ensure that the market of this many tokens has at least this many agents; new ones have `missed` events."""
        have = self._populated.get(tokens, 0)
        if agents > have:
            new = {"first": have, "count": agents - have, "tokens": tokens, "missed": missed}
            self._bot.ask("populate", **new, timeout_seconds=300)
            self._populated[tokens] = agents

    def history(self) -> dict[str, tuple[int, int]]:
        """Return the rows and bytes of each kind of history."""
        return {what: (rows, size) for what, (rows, size) in self._bot.ask("history").items()}

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Collect the statements on users and positions meanwhile, but not those made for all sockets at once: those of
        the reconciler, and the look for the epoch.
        """
        log = self.postgresql.log
        self.postgresql.configure("log_statement", "all")
        begin = log.stat().st_size
        found: list[str] = []
        try:
            yield found
        finally:
            self.postgresql.configure("log_statement", "none")
            with log.open(errors="replace") as lines:
                lines.seek(begin)
                found += [line for line in lines if STATEMENT.search(line) and not SHARED.search(line)]
