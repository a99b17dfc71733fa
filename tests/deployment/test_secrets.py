"""Outside debug mode no default secret works: the process does not even start."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest

from testbed import forkserver
from tests.live import PATIENCE_SECONDS, ROOT

GOOD = {
    "NEXGENT_DEBUG": "0",
    "NEXGENT_SECRET_KEY": secrets.token_urlsafe(64),
    "NEXGENT_ALLOWED_HOSTS": "example.org",
}


def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return forkserver.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        env={**os.environ, "PYTHONWARNINGS": "", **environment},
        cwd=ROOT,
        timeout=3 * PATIENCE_SECONDS,
    )


def test_documented_production_settings_pass_the_deployment_checks():
    done = check(GOOD)
    assert (done.returncode, "no issues" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"NEXGENT_SECRET_KEY": ""}, "NEXGENT_SECRET_KEY must be set when NEXGENT_DEBUG is off."),
        ({"NEXGENT_SECRET_KEY": "changeme"}, "NEXGENT_SECRET_KEY has 8 characters"),
        ({"NEXGENT_SECRET_KEY": "x" * 64}, "security.W009"),
        ({"NEXGENT_ALLOWED_HOSTS": ""}, "NEXGENT_ALLOWED_HOSTS must name the hosts served"),
    ],
)
def test_production_without_a_secret_of_its_own_is_refused(change, message):
    done = check(GOOD | change)
    assert done.returncode != 0
    assert message in done.stderr
