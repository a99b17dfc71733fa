"""A machine in a folder, on which the commands of docs/operations.md run as they stand there.

Paths lead into the folder. What only root of a real machine can do (packages, users, units, certificates) is recorded,
in `calls`. PostgreSQL's programs are those of the tests' server, the project and its Python are this checkout's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from testbed import forkserver
from testbed.backends import PostgreSQL
from tests.live import PATIENCE_SECONDS, ROOT

PLACES = ("/opt/nexgent", "/etc/", "/var/lib/nexgent", "/var/log/nginx", "/srv/nexgent", "/run/nginx.pid")
RECORDED = ("apt-get", "systemctl", "useradd", "git")
RECORD = """#!/bin/sh
echo "$(basename "$0") $*" >> {calls}
"""
# `runuser -u USER -- COMMAND`: the superuser of the database is whoever is called postgres.
RUNUSER = """#!/bin/sh
test "$1 $3" = "-u --"
if [ "$2" = postgres ]; then export PGUSER=postgres PGDATABASE=postgres PGHOST={sockets}; fi
shift 3
exec "$@"
"""
# Its virtual environment is there already: this checkout's.
PYTHON3 = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then echo "python3 $*" >> {calls}; exit; fi
exec {python} "$@"
"""
# As Let's Encrypt would: a certificate for the name behind --domain.
CERTBOT = """#!/bin/sh
echo "certbot $*" >> {calls}
while [ "$1" != --domain ]; do shift; done
folder={root}/etc/letsencrypt/live/$2
mkdir -p "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$2" \\
    -addext "subjectAltName=DNS:$2" -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2>/dev/null
"""
# Without owners and groups, which only root may give.
INSTALL = """#!/bin/bash
kept=()
while [ $# -gt 0 ]; do
    case "$1" in -o|-g) shift ;; *) kept+=("$1") ;; esac
    shift
done
exec /usr/bin/install "${{kept[@]}}"
"""
OTHER = """#!/bin/sh
exec {program} "$@"
"""


class Machine:
    def __init__(self, folder: Path, postgresql: PostgreSQL, changes: dict[str, str] | None = None) -> None:
        self.root = folder
        self._changes = changes or {}
        self.calls = folder / "calls"
        self.calls.touch()
        self._bin = folder / "bin"
        self._bin.mkdir()
        for name in RECORDED:
            self._program(name, RECORD.format(calls=self.calls))
        self._program("runuser", RUNUSER.format(sockets=postgresql.sockets))
        self._program("install", INSTALL.format())
        self._program("python3", PYTHON3.format(calls=self.calls, python=sys.executable))
        self._program("certbot", CERTBOT.format(calls=self.calls, root=folder))
        for name in ("psql", "pg_dump", "pg_restore"):
            self._program(name, OTHER.format(program=postgresql.program(name)))
        for place in ("etc/nexgent", "etc/systemd/system", "etc/nginx/conf.d", "var/log/nginx", "run"):
            (folder / place).mkdir(parents=True)
        self._check_out(folder / "opt/nexgent")

    def here(self, text: str) -> str:
        """Return the text with the paths of this machine, and what else is something else here."""
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        for there, here in self._changes.items():
            text = text.replace(there, here)
        return text

    def run(self, script: str, **environment: str) -> str:
        """Run these lines as root would type them; the first that fails ends them. Return what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(script)],
            env={
                "PATH": f"{self._bin}:{os.environ['PATH']}",
                **{name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ},
                **environment,
            },
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=6 * PATIENCE_SECONDS,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def _program(self, name: str, text: str, folder: Path | None = None) -> None:
        path = (folder or self._bin) / name
        path.write_text(text)
        path.chmod(0o755)

    def _check_out(self, folder: Path) -> None:
        """What `git clone` and the installation of the lock would have put there; deploy/ with this machine's paths."""
        (folder / "deploy").mkdir(parents=True)
        for name in ("manage.py", "nexgent", "positions", "realtime", "templates"):
            (folder / name).symlink_to(ROOT / name)
        installed = folder / ".venv/bin"
        installed.mkdir(parents=True)
        self._program("pip", RECORD.format(calls=self.calls), installed)
        self._program("python", forkserver.program(), installed)
        self._program("daphne", forkserver.program(str(Path(sys.executable).with_name("daphne"))), installed)
        for source in (ROOT / "deploy").rglob("*"):
            target = folder / "deploy" / source.relative_to(ROOT / "deploy")
            if source.is_dir():
                target.mkdir(exist_ok=True)
            elif source.suffix not in {".pyc", ".lock"}:
                target.write_text(self.here(source.read_text()))
                target.chmod(source.stat().st_mode)
