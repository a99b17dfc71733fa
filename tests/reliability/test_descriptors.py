"""A process that has too few files for its connections serves those that say something, and recovers by itself."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from testbed import forkserver
from tests.live import PATIENCE_SECONDS, ROOT, Server, http, watching
from tests.raw_http import Exchange, head
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.waiting import until

MORE = 80
"""How many more files than now a server may open."""
LINE = "no files left for more connections"


def limit_files(server: Server) -> None:
    assert server.process is not None
    pid = server.process.pid
    limit = len(list(Path(f"/proc/{pid}/fd").iterdir())) + MORE
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))


def _status(server: Server) -> int | None:
    """Return how a probe is answered; None where its connection has made room for another."""
    try:
        return http.get(f"{server.url}/health/live").status_code
    except httpx.TransportError:
        return None


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_server_without_files_for_all_connections_serves_and_recovers(
    kind, transactional_db, tmp_path, alice, agent
):
    """Of the first ones none sends a request; of the second ones each sends half a body."""
    half = head("/api/agents/", "Content-Length: 10", method="POST") + b"{"
    with Server(kind, log=tmp_path / "log", NEXGENT_HEAD_SECONDS="3600") as server:
        async with watching(server, alice, agent):
            pass
        limit_files(server)
        with ExitStack() as connections:
            for _ in range(2 * MORE):
                connections.enter_context(Exchange(server))
            async with watching(server, alice, agent):
                assert http.get(f"{server.url}/health/live").status_code == 200
        with ExitStack() as connections:
            statuses: list[int | None] = []
            while 503 not in statuses:
                assert len(statuses) < 4 * MORE, "it never happened that the server was at capacity"
                connections.enter_context(Exchange(server, half))
                statuses.append(_status(server))
        until(lambda: _status(server) == 200, "the server noticed that the others are gone")
        async with watching(server, alice, agent):
            pass
        log = server.log.read_text()
        assert log.count(LINE) == 1, log
        assert "Traceback" not in log
        said = [line for line in log.splitlines() if "/health/live" not in line]  # which this test asks for
        assert len(said) < 50, log


def test_start_says_that_there_are_too_few_files_for_the_sockets():
    start = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))\n"
        "import nexgent.asgi, realtime.servers.descriptors as descriptors\n"
        "print(descriptors.resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = forkserver.run(
        [sys.executable, "-c", start],
        env={**os.environ, "NEXGENT_MAX_SOCKETS": "1000"},
        cwd=ROOT,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert "this process may have 400 files open: too few for NEXGENT_MAX_SOCKETS, 1000." in done.stderr
    assert "Traceback" not in done.stderr


def test_start_takes_as_many_files_as_it_may():
    start = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 2000))\n"
        "import nexgent.asgi\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = forkserver.run(
        [sys.executable, "-c", start],
        env={**os.environ, "NEXGENT_MAX_SOCKETS": "1000"},
        cwd=ROOT,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert done.stdout.splitlines()[-1] == "(1128, 2000)", done.stderr
