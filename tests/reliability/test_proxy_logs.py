"""What nginx, with deploy/nginx.conf, logs about sockets that it cannot pass on: not their tokens."""

from __future__ import annotations

import subprocess
import time
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.live import PATIENCE_SECONDS
from tests.reliability.proxy import Proxy, nginx
from tests.waiting import until


@pytest.fixture
def proxy(tmp_path: Path):
    """nginx before servers whose Unix sockets do not exist: an error of the level `crit`."""
    proxy = Proxy(nginx(), tmp_path, [4001, 4002])
    sample = tmp_path / "servers.conf"
    text = sample.read_text()
    for port in (4001, 4002):
        text = text.replace(f"server 127.0.0.1:{port}", f"server unix:{tmp_path}/{port}.sock")
    sample.write_text(text)
    process = subprocess.Popen(proxy.command, cwd=tmp_path)
    yield proxy
    process.terminate()
    process.wait(PATIENCE_SECONDS)


def status(address: str) -> int:
    """Return the status of the answer, as soon as there is one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(address, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except (OSError, HTTPException):
            time.sleep(0.02)  # between two checks of a condition
    raise AssertionError("nginx does not answer")


@pytest.mark.parametrize(
    "target",
    [
        "/ws?token=abc.def.ghi&agentId=1",
        "/ws/?ticket=abc.def.ghi",
        "/%77s?%74oken=abc.def.ghi",
        "//ws?token=abc.def.ghi",
        "/api/../ws?token=abc.def.ghi",
        "/socket?token=abc.def.ghi",  # a client that has another path in mind
        "/ws%3ftoken=abc.def.ghi",  # or escapes too much
        "/static/x.js?token=abc.def.ghi",
        "/metrics?token=abc.def.ghi",
    ],
)
def test_critical_error_does_not_quote_a_token_wherever_a_client_has_put_it(proxy, target):
    assert status(f"http://127.0.0.1:{proxy.port}{target}") == 502
    assert status(f"http://127.0.0.1:{proxy.port}/api/agents/") == 502
    until(lambda: "GET /api/agents/ 502" in proxy.logs(), "nginx has logged the access")
    log = proxy.logs()
    assert '"GET /api/agents/ HTTP/1.1"' in log  # such errors are logged
    assert "abc.def" not in log
