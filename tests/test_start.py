"""What a process loads when it starts: every command, and every server, waits for it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.live import PATIENCE_SECONDS, ROOT

CODE = """
import sys
import django
django.setup()
from django.core.checks import run_checks
run_checks()
print(*(name for name in ("autobahn", "daphne.server", "httpx", "twisted", "uvicorn") if name in sys.modules))
"""


def test_command_loads_no_server_and_no_http_client():
    # Not by the fork server of the tests: its processes have all of them from the beginning.
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "nexgent.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert (done.stdout, done.stderr) == ("\n", "")
