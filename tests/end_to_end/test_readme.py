"""Runs what the README asks a newcomer to type."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from decimal import Decimal

from django.contrib.auth.models import User

from positions.models import Agent, Position
from tests.contract import check_from_server
from tests.documents import Program, blocks
from tests.live import PATIENCE_SECONDS, ROOT, Server, database_url, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  for every test here

(SHELL,) = blocks("README.md", "python")
(SOCKET,) = blocks("README.md", "bash")


async def test_lines_for_the_shell_reach_an_open_socket(
    daphne_server: Server, transactional_db: None, alice: User, agent: Agent, position: Position
):
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", SHELL.text]
    async with watching(daphne_server, alice, agent) as socket:
        async with Program(*command, DATABASE_URL=database_url()) as shell:
            assert await asyncio.wait_for(shell.process.wait(), 2 * PATIENCE_SECONDS) == 0
        (held,) = [(await socket.until("position_update"))["data"]["position"]]
    assert Decimal(held["remainingAmount"]) == position.remaining_amount + 1000
    assert held["totalInvestedSol"] == 2.5


async def test_lines_for_the_socket_show_what_the_server_says(
    daphne_server: Server, transactional_db: None, alice: User, agent: Agent, position: Position
):
    assert len(SOCKET.text.splitlines()) <= 10
    script = SOCKET.text.replace("http://127.0.0.1:4000", daphne_server.url)
    script = script.replace(
        '"username": "demo", "password": "demo"', '"username": "alice", "password": "alice-has-a-password"'
    )
    script = script.replace(".venv/bin/python", sys.executable)
    async with Program("bash", "-c", script) as shell:
        for kind in ("connected", "initial_data"):
            # The client draws around what it shows, and prompts.
            text = re.search(r"\{.*\}", await shell.until(f'"{kind}"'))
            assert text
            message = json.loads(text[0])
            check_from_server(message)
        assert message["data"]["positions"][0]["id"] == str(position.pk)


def test_targets_that_the_readme_names_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"\bmake ([a-z]+)\b", readme))
    assert {"run", "test", "check", "soak"} <= targets
    for target in targets:
        done = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        assert done.returncode == 0, done.stderr
