"""nginx with deploy/nginx.conf, on free ports."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.live import PATIENCE_SECONDS, ROOT, free_port

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def nginx() -> str:
    """Return the program; without it CI fails, and other machines skip the test."""
    if NGINX is None:
        message = (
            "nginx is not installed (Debian: apt install nginx-light): what runs behind it is NOT tested"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return NGINX


class Proxy:
    """nginx on a port of its own, with the sample configuration and other addresses."""

    def __init__(self, binary: str, folder: Path, ports: list[int]) -> None:
        self.port = free_port()
        self.tls_port = 0
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws"
        self.folder = folder
        sample = (ROOT / "deploy/nginx.conf").read_text()
        for there, here in (
            ("127.0.0.1:4001", f"127.0.0.1:{ports[0]}"),
            ("127.0.0.1:4002", f"127.0.0.1:{ports[1]}"),
            ("listen 80;", f"listen 127.0.0.1:{self.port};"),
            ("/var/log/nginx/", f"{folder}/"),
            ("/etc/nginx/nexgent-tls/", f"{folder}/tls/"),
        ):
            assert there in sample
            sample = sample.replace(there, here)
        (folder / "sample.conf").write_text(sample)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/main-error.log crit;"
            f"events {{ worker_connections 1024; }} http {{ {temporary} include {folder}/sample.conf; }}"
        )
        self._command = [
            binary,
            "-p",
            str(folder),
            "-e",
            f"{folder}/main-error.log",
            "-c",
            str(configuration),
        ]

    def serve_tls(self, certificate: Path, key: Path) -> None:
        """Listen for TLS too, as deploy/tls/listen.conf.example says; before it starts."""
        self.tls_port = free_port()
        listen = (ROOT / "deploy/tls/listen.conf.example").read_text()
        for there, here in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.tls_port} ssl;"),
            ("listen [::]:443 ssl;", ""),
            ("/etc/nginx/nexgent-tls/fullchain.pem", str(certificate)),
            ("/etc/nginx/nexgent-tls/privkey.pem", str(key)),
        ):
            assert there in listen
            listen = listen.replace(there, here)
        (self.folder / "tls").mkdir()
        (self.folder / "tls/listen.conf").write_text(listen)

    def __enter__(self) -> Proxy:
        subprocess.run([*self._command, "-t"], check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        self._process = subprocess.Popen(self._command, cwd=self.folder)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                address = f"http://127.0.0.1:{self.port}/health/live"
                urllib.request.urlopen(address, timeout=PATIENCE_SECONDS).close()
                return self
            except (URLError, TimeoutError):
                assert time.monotonic() < deadline, "nginx does not answer"
                time.sleep(0.02)  # between two checks of a condition

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))
