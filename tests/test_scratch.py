"""What a killed process of the tests leaves behind: nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.processes import PATIENCE_SECONDS, ROOT
from tests.waiting import eventually, until

PROGRAM = """
import subprocess, sys, time
from testbed import scratch
folder = scratch.make("nxk-")
from testbed.backends import PostgreSQL, Valkey
PostgreSQL(folder / "pg")
Valkey(folder / "valkey").start()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(folder, flush=True)
time.sleep(600)
"""


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as program:
        yield program
        program.kill()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks processes up in /proc")
async def test_killed_process_leaves_no_server_and_no_folder(program):
    folder = program.stdout.readline().strip()
    assert len(left_of(folder)) >= 4  # and three processes
    program.kill()
    program.wait(PATIENCE_SECONDS)

    async def gone() -> bool:
        return left_of(folder) == []

    await eventually(gone, "everything that it started ended")


def test_process_that_ends_warns_of_nothing():
    program = 'from testbed import scratch; print(scratch.make("nxk-"))'
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    until(lambda: left_of(done.stdout.strip()) == [], "the reaper ended")


def left_of(folder: str) -> list[str]:
    """Return the folder, where it exists, and the command lines of the processes that were started with its name."""
    found = [folder] if Path(folder).exists() else []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = ((process / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue  # it has ended
        if folder.encode() in command + environment:
            found.append(command.decode())
    return found
