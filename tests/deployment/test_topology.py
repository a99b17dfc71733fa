"""The services of compose.yaml, started for real without containers: the same commands and settings, except for
addresses. PostgreSQL with deploy/roles.sql, Valkey, two servers, the broadcaster, and nginx with TLS in front."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from testbed import forkserver
from testbed.backends import PostgreSQL, Valkey
from testbed.templates import Templates
from tests.deployment.compose import services
from tests.live import PATIENCE_SECONDS, ROOT, Client, free_port
from tests.realtime.test_metrics import read, total
from tests.reliability.proxy import Proxy, nginx
from tests.waiting import eventually, until

SECRETS = {name: secrets.token_urlsafe(48) for name in ("NEXGENT_SECRET_KEY", "NEXGENT_METRICS_TOKEN")}
ROLES = {"NEXGENT_OWNER_PASSWORD": "owner-password", "NEXGENT_APP_PASSWORD": "app-password"}
SECURITY_HEADERS = (
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
)
PASSWORD = secrets.token_urlsafe(12)
WORLD = f"""
from decimal import Decimal
from django.contrib.auth.models import User
from positions.models import Agent, Wallet
from positions.services import open_position
agent = Agent.objects.create(owner=User.objects.create_user("trader", password="{PASSWORD}"), name="alpha")
wallet = Wallet.objects.create(agent=agent, address="A1pha")
open_position(wallet=wallet, token_address="BonkBonk", token_symbol="BONK", tokens=Decimal(5), spent_sol=Decimal(1))
"""


class Topology:
    """compose.yaml on this machine. `processes` are those that stay, by the name of their service."""

    def __init__(self, folder: Path, stack: ExitStack, templates: Templates) -> None:
        binary = nginx()
        self.folder = folder
        self.postgresql = PostgreSQL(folder / "pg", template=templates.cluster())
        stack.callback(self.postgresql.close)
        self.postgresql.run_file(ROOT / "deploy/roles.sql", **ROLES)
        self.app_url = self.postgresql.url_of("nexgent_app", ROLES["NEXGENT_APP_PASSWORD"], "nexgent")
        valkey = Valkey(folder / "valkey")
        stack.callback(valkey.close)
        valkey.start()
        self.services = services({**SECRETS, **ROLES, "NEXGENT_HOST": "127.0.0.1", "POSTGRES_PASSWORD": "x"})
        self.ports = {"4001": str(free_port()), "4002": str(free_port())}
        owner_url = self.postgresql.url_of("nexgent_owner", ROLES["NEXGENT_OWNER_PASSWORD"], "nexgent")
        self.environments = {
            name: {
                **{key: value for key, value in os.environ.items() if not key.startswith("NEXGENT_")},
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "NEXGENT_DEBUG": "0",  # as the Containerfile has it, with the two folders
                "NEXGENT_DATA_DIR": str(folder / "var"),
                "NEXGENT_STATIC_DIR": str(templates.static_files()),
                "PYTHONUNBUFFERED": "1",
                **service["environment"],
                "DATABASE_URL": owner_url if name == "migrate" else self.app_url,
                "REDIS_URL": valkey.url,
                **({"NEXGENT_STATIC_DIR": str(folder / "nginx/static")} if name == "static" else {}),
            }
            for name, service in self.services.items()
            if service.get("image") == "nexgent"
        }
        self.run("static", self.services["static"]["command"])
        self.run("migrate", self.services["migrate"]["command"])
        self.run("server-1", ["python", "manage.py", "shell", "-v", "0", "-c", WORLD])
        self.processes = {name: self._start(name, stack) for name in ("server-1", "server-2", "prices")}
        (folder / "nginx").mkdir(exist_ok=True)
        self.proxy = Proxy(binary, folder / "nginx", [int(port) for port in self.ports.values()])
        self.certificate, key = folder / "certificate.pem", folder / "key.pem"
        openssl = shutil.which("openssl")
        assert openssl, "openssl is not installed (Debian: apt install openssl)"
        subprocess.run(
            [
                *(
                    openssl,
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                ),
                *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )
        self.proxy.serve_tls(self.certificate, key)
        stack.enter_context(self.proxy)

    def run(self, service: str, command: list[str]) -> str:
        program, *arguments = command
        assert program == "python"
        done = forkserver.run(
            [sys.executable, *arguments],
            env=self.environments[service],
            cwd=ROOT,
            timeout=4 * PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _start(self, service: str, stack: ExitStack) -> forkserver.Process | subprocess.Popen[bytes]:
        command = []
        for word in self.services[service]["command"]:
            for there, here in (
                *self.ports.items(),
                ("dexscreener", "simulated"),
                ("0.0.0.0", "127.0.0.1"),  # noqa: S104
            ):
                word = word.replace(there, here)
            command.append(word)
        program, *arguments = command
        # As the path would find it: Python itself, or a script of a package beside it.
        script = [] if program == "python" else [Path(sys.executable).with_name(program)]
        with (self.folder / f"{service}.log").open("wb") as log:
            process = forkserver.start(
                [sys.executable, *script, *arguments],
                env=self.environments[service],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text()


@pytest.fixture(scope="module")
def topology(templates: Templates) -> Iterator[Topology]:
    with ExitStack() as stack:
        # Short: a Unix socket's path must fit into 100 bytes; and PostgreSQL's own user must get in.
        folder = Path(tempfile.mkdtemp(prefix="nxc-", dir="/tmp"))
        folder.chmod(0o755)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield Topology(folder, stack, templates)


def test_role_of_the_servers_can_change_no_table_and_reads_those_of_later_migrations(topology: Topology):
    owner: Any = topology.environments["migrate"]["DATABASE_URL"]
    with psycopg.connect(owner, autocommit=True) as migrating:
        migrating.execute(
            "CREATE TABLE of_a_later_release (id bigint GENERATED ALWAYS AS IDENTITY, name text)"
        )
    with psycopg.connect(topology.app_url, autocommit=True) as serving:
        for statement in (
            "CREATE TABLE mine (id int)",
            "ALTER TABLE positions_position ADD COLUMN mine int",
            "DROP TABLE positions_positionevent",
            "TRUNCATE positions_positionevent",
            "CREATE ROLE somebody",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                serving.execute(statement)
        serving.execute("INSERT INTO of_a_later_release (name) VALUES ('x')")
        assert serving.execute("SELECT count(*) FROM of_a_later_release").fetchone() == (1,)


async def test_files_of_older_releases_stay_and_those_of_this_one_are_as_a_server_sends_them(
    topology: Topology,
):
    await eventually(lambda: _is_ready(topology.ports["4001"]), "a server is ready")
    static = topology.folder / "nginx/static"
    (static / "realtime/nexgent.0123456789ab.js").write_text("of an older release")
    (current,) = (
        file.relative_to(static)
        for file in static.glob("realtime/nexgent.*.js")
        if "0123456789ab" not in file.name
    )
    trusted = ssl.create_default_context(cafile=str(topology.certificate))
    url = f"https://127.0.0.1:{topology.proxy.tls_port}/static"
    async with httpx.AsyncClient(verify=trusted, timeout=PATIENCE_SECONDS) as http:
        old = await http.get(f"{url}/realtime/nexgent.0123456789ab.js")
        assert (old.status_code, old.text) == (200, "of an older release")
        docs = "drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
        for path in (str(current), "realtime/nexgent.js", "admin/css/base.css", docs):
            ours = await http.get(f"{url}/{path}")
            server = f"http://127.0.0.1:{topology.ports['4001']}/static/{path}"
            theirs = await http.get(server, headers={"X-Forwarded-Proto": "https"})
            assert ours.content == theirs.content
            assert "Last-Modified" in ours.headers
            for name in ("Cache-Control", "Content-Encoding", "Vary", *SECURITY_HEADERS):
                assert (name, ours.headers.get(name)) == (name, theirs.headers.get(name))
            # RFC 9239 has renamed JavaScript's; nginx still has the former name.
            kind = ours.headers["Content-Type"].replace("application/javascript", "text/javascript")
            assert kind == theirs.headers["Content-Type"].replace('"', "")
        assert (await http.get(f"{url}/nowhere.js")).status_code == 404
    assert not (static / "drf_spectacular_sidecar/redoc").exists()
    assert not list(static.rglob("*.map.gz"))


async def test_topology_of_compose_serves_traders_over_tls_and_ends_in_order(topology: Topology):
    trusted = ssl.create_default_context(cafile=str(topology.certificate))
    url = f"https://127.0.0.1:{topology.proxy.tls_port}"
    async with httpx.AsyncClient(base_url=url, verify=trusted, timeout=PATIENCE_SECONDS) as http:

        async def ready() -> bool:
            return all([await _is_ready(port) for port in topology.ports.values()])

        await eventually(ready, "both servers are ready")
        plain = f"127.0.0.1:{topology.proxy.port}/api/agents/"
        sent_on = await http.get(f"http://{plain}")
        assert (sent_on.status_code, sent_on.headers["Location"]) == (301, f"https://{plain}")
        with pytest.raises(InvalidStatus) as refused:
            await connect(topology.proxy.ws_url, open_timeout=PATIENCE_SECONDS)
        assert refused.value.response.status_code == 403
        page = await http.get("/")
        assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
        given = await http.post("/api/token/", json={"username": "trader", "password": PASSWORD})
        assert given.status_code == 200, given.text
        access, refresh = given.json()["access"], given.json()["refresh"]
        http.headers["Authorization"] = f"Bearer {access}"
        agent = (await http.get("/api/agents/")).json()["results"][0]["id"]
        position = (await http.get("/api/positions/")).json()["results"][0]["id"]
        address = f"wss://127.0.0.1:{topology.proxy.tls_port}/ws?token={access}&agentId={agent}"
        async with connect(address, ssl=trusted, open_timeout=PATIENCE_SECONDS) as connection:
            socket = Client(connection)
            await socket.until("initial_data")
            moved = await http.post(f"/api/positions/{position}/stop-loss/", json={"percentage": -12.5})
            assert moved.status_code == 200, moved.text
            event = (await socket.until("position_update"))["data"]
            assert event["position"]["currentStopLossPercentage"] == -12.5
            assert Decimal(str((await socket.until("price_update_batch"))["data"]["updates"][0]["price"])) > 0
            await _all_are_measured(topology, http)
            for name in ("server-1", "server-2", "prices"):
                topology.processes[name].send_signal(signal.SIGTERM)
            assert (await socket.closed())[:2] == (1000, "Server shutdown")
    codes = {
        name: await asyncio.to_thread(process.wait, PATIENCE_SECONDS)
        for name, process in topology.processes.items()
    }
    assert codes.pop("prices") == 0
    assert set(codes.values()) <= {0, -signal.SIGTERM}
    _logs_are_json_and_name_no_token(topology, access, refresh)


async def _is_ready(port: str) -> bool:
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        try:
            return (await http.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200
        except httpx.TransportError:
            return False


async def _all_are_measured(topology: Topology, http: httpx.AsyncClient) -> None:
    """The one address reports every process, once each has reported."""
    refused = await http.get("/metrics")
    assert refused.status_code == 401
    headers = {"Authorization": f"Bearer {SECRETS['NEXGENT_METRICS_TOKEN']}"}

    async def measured() -> bool:
        values = read((await http.get("/metrics", headers=headers)).text)
        return (
            total(values, "nexgent_sockets") == 1
            and total(values, "nexgent_process_start_time_seconds", kind="prices") > 0
            and total(values, "nexgent_price_rounds_total", outcome="ok") > 0
        )

    await eventually(measured, "/metrics reports the socket and of the broadcaster")


def _logs_are_json_and_name_no_token(topology: Topology, *tokens: str) -> None:
    said = [json.loads(line) for name in ("server-1", "server-2") for line in topology.log(name).splitlines()]
    assert {line["message"] for line in said} >= {"socket opened", "socket closed"}
    # nginx writes it when the connection has ended on both sides.
    until(lambda: "GET /ws 101" in topology.proxy.logs(), "the socket is in nginx's log")
    logs = topology.proxy.logs() + "".join(map(topology.log, topology.processes))
    for token in (*tokens, *SECRETS.values(), PASSWORD):
        assert token.split(".")[-1] not in logs
        assert token.split(".")[1 if "." in token else 0] not in logs
