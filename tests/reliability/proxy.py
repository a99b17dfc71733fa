"""nginx with deploy/nginx*.conf, on free ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path

import psutil  # type: ignore[import-untyped]
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


def _adapt(name: str, target: Path, changes: dict[str, str]) -> None:
    """Write a file of deploy/ with other text in some places, each of which is there."""
    text = (ROOT / "deploy" / name).read_text()
    for there, here in changes.items():
        assert there in text, there
        text = text.replace(there, here)
    target.write_text(text)


class Proxy:
    """nginx on a port of its own, with the sample configuration and other addresses."""

    def __init__(self, binary: str, folder: Path, ports: list[int]) -> None:
        self.port = free_port()
        self.tls_port = 0
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws"
        self.folder = folder
        _adapt(
            "nginx-servers.conf",
            folder / "servers.conf",
            {"127.0.0.1:4001": f"127.0.0.1:{ports[0]}", "127.0.0.1:4002": f"127.0.0.1:{ports[1]}"},
        )
        site = {
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "listen [::]:80;": "",
            "/var/log/nginx/": f"{folder}/",
            "/etc/nginx/nexgent-tls/": f"{folder}/tls/",
            "/srv/nexgent": f"{folder}",
        }
        _adapt("nginx.conf", folder / "site.conf", site)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = folder / "nginx.conf"
        main = {
            "user www-data;": "daemon off;",
            "worker_processes auto;": "worker_processes 1;",
            "/run/nginx.pid": f"{folder}/pid",
            "/var/log/nginx/error.log": f"{folder}/main-error.log",
            "http {": f"http {{ {temporary}",
            "/etc/nginx/conf.d/*.conf": f"{folder}/s*.conf",
        }
        _adapt("nginx-main.conf", configuration, main)
        self.command = [
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
        (self.folder / "tls").mkdir()
        changes = {
            "listen 443 ssl;": f"listen 127.0.0.1:{self.tls_port} ssl;",
            "listen [::]:443 ssl;": "",
            "/etc/nginx/nexgent-tls/fullchain.pem": str(certificate),
            "/etc/nginx/nexgent-tls/privkey.pem": str(key),
        }
        _adapt("tls/listen.conf.example", self.folder / "tls/listen.conf", changes)

    def __enter__(self) -> Proxy:
        subprocess.run([*self.command, "-t"], check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        self._process = subprocess.Popen(self.command, cwd=self.folder)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                address = f"http://127.0.0.1:{self.port}/health/live"
                urllib.request.urlopen(address, timeout=PATIENCE_SECONDS).close()
                return self
            except (OSError, HTTPException):
                assert time.monotonic() < deadline, "nginx does not answer"
                time.sleep(0.02)  # between two checks of a condition

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)

    def reload(self) -> None:
        self._process.send_signal(signal.SIGHUP)

    def workers(self) -> set[int]:
        """Return the process ids of the workers that accept connections: not those that only end theirs."""
        found = set()
        for child in psutil.Process(self._process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                if child.cmdline()[:1] == ["nginx: worker process"]:
                    found.add(child.pid)
        return found

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))
