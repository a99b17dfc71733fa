"""The way of docs/operations.md from a bare Debian to a site with HTTPS: its lines, as far as they run without one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from testbed.backends import PostgreSQL, Valkey
from testbed.templates import Templates
from tests.deployment.machine import Machine
from tests.documents import blocks
from tests.live import PATIENCE_SECONDS, ROOT, free_port
from tests.reliability.proxy import nginx
from tests.waiting import until

HOST = "nexgent.example.org"
PASSWORD = "a-password-of-the-first-user"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Site:
    """What the page ends in. Its units are started here, since no systemd is."""

    def __init__(self, folder: Path, postgresql: PostgreSQL, redis_url: str, stack: ExitStack) -> None:
        self.http, self.https = free_port(), free_port()
        paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
        changes = {
            "4001": str(free_port()),
            "4002": str(free_port()),
            "listen 80;": f"listen 127.0.0.1:{self.http};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.https} ssl;",
            "listen [::]:80;": "",
            "listen [::]:443 ssl;": "",
            "user www-data;": "daemon off;",
            "http {": f"http {{ {paths}",
            f"{folder}/etc/nginx/mime.types": "/etc/nginx/mime.types",
            "@localhost/nexgent": f"@/nexgent?host={postgresql.sockets}",
            "redis://localhost:6379/0": redis_url,
            "deploy/manage createsuperuser": "deploy/manage createsuperuser --noinput",  # it would ask
        }
        self.machine = Machine(folder, postgresql, changes)
        page = (ROOT / "docs/operations.md").read_text()
        section = page[page.index("\n## With systemd\n") : page.index("\n## nginx\n")]
        lines = [block.text for block in blocks("docs/operations.md", "sh") if block.text in section]
        self.machine.run(
            "".join(lines),
            DJANGO_SUPERUSER_USERNAME="first",
            DJANGO_SUPERUSER_EMAIL="",
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )
        self.calls = self.machine.calls.read_text().splitlines()
        self.log = folder / "servers.log"
        for port in re.findall(r"nexgent-server@(\d+)", self._enabled()):
            stack.enter_context(self._unit("nexgent-server@.service", port))
        configuration = folder / "etc/nginx/nginx.conf"
        main = [nginx(), "-e", f"{folder}/var/log/nginx/error.log", "-c", str(configuration)]
        subprocess.run([*main, "-t"], check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        stack.enter_context(_ended(subprocess.Popen(main)))
        trusted = ssl.create_default_context(
            cafile=str(folder / f"etc/letsencrypt/live/{HOST}/fullchain.pem")
        )
        self.client = stack.enter_context(httpx.Client(verify=trusted, timeout=PATIENCE_SECONDS))
        until(self._is_ready, "a server process is ready behind nginx")

    def get(self, path: str, **options: str) -> httpx.Response:
        return self.request("GET", path, **options)

    def request(self, method: str, path: str, **json: str) -> httpx.Response:
        return self.client.request(
            method,
            f"https://127.0.0.1:{self.https}{path}",
            headers={"Host": HOST},
            extensions={"sni_hostname": HOST},
            json=json or None,
        )

    def plain(self, path: str) -> httpx.Response:
        return self.client.get(f"http://127.0.0.1:{self.http}{path}", headers={"Host": HOST})

    def _enabled(self) -> str:
        (call,) = (call for call in self.calls if call.startswith("systemctl enable --now "))
        return call

    def _is_ready(self) -> bool:
        try:
            return self.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _unit(self, name: str, instance: str) -> ExitStack:
        """Start the service as systemd would: its command, folder and environment."""
        text = (self.machine.root / "etc/systemd/system" / name).read_text()
        unit = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
        settings = shlex.split(Path(unit["EnvironmentFile"]).read_text())
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                shlex.split(unit["ExecStart"].replace("%i", instance)),
                cwd=unit["WorkingDirectory"],
                env={"PATH": os.environ["PATH"], **dict(line.split("=", 1) for line in settings)},
                stdout=log,
                stderr=log,
            )
        return _ended(process)


def _ended(process: subprocess.Popen[bytes]) -> ExitStack:
    stack = ExitStack()
    stack.callback(process.wait, PATIENCE_SECONDS)
    stack.callback(process.terminate)
    return stack


@pytest.fixture(scope="module")
def site(templates: Templates) -> Iterator[Site]:
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="nxs-", dir="/tmp"))
        folder.chmod(0o755)  # nginx's workers may be another user's
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgresql = PostgreSQL(folder / "pg", template=templates.cluster())
        stack.callback(postgresql.close)
        valkey = stack.enter_context(Valkey(folder / "valkey"))
        root = folder / "root"
        root.mkdir()
        yield Site(root, postgresql, valkey.url, stack)


def test_page_ends_in_a_site_with_https_where_the_first_user_logs_in(site: Site):
    page = site.get("/")
    assert (page.status_code, page.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")
    (script, *_) = re.findall(r'src="(/static/[^"]+)"', page.text)
    assert "immutable" in site.get(script).headers["Cache-Control"]
    answer = site.request("POST", "/api/token/", username="first", password=PASSWORD)
    assert answer.status_code == 200, answer.text
    assert site.get("/admin/login/").status_code == 200
    sent_on = site.plain("/")
    assert (sent_on.status_code, sent_on.headers["Location"]) == (301, f"https://{HOST}/")


def test_certificate_can_be_renewed_while_the_site_runs(site: Site):
    challenge = site.machine.root / "srv/nexgent/.well-known/acme-challenge/token"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("key")
    assert site.plain("/.well-known/acme-challenge/token").text == "key"
    assert any("--deploy-hook systemctl reload nginx" in call for call in site.calls)


def test_page_installs_what_runs_only_and_every_unit(site: Site):
    assert "pip install --require-hashes -r deploy/requirements.lock" in site.calls
    units = {path.name for path in (site.machine.root / "etc/systemd/system").iterdir()}
    assert units == {path.name for path in (ROOT / "deploy/systemd").iterdir()}
    for name in ("nexgent-prices", "nexgent-maintenance.timer"):
        assert name in site._enabled()
    secrets = [site.machine.root / "etc/nexgent" / name for name in ("environment", "owner")]
    assert [oct(path.stat().st_mode & 0o777) for path in secrets] == ["0o640", "0o600"]
