"""Valkey or Redis as hosts offer it: over TLS, by a name, with a user who may do what this project does and no more."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import redis
from asgiref.sync import sync_to_async

from testbed.backends import Valkey
from tests.live import ROOT, Server, access_token, http, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.silent_proxy import SilentProxy
from tests.servers import FOLDER
from tests.waiting import eventually


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One file with the key and the certificate of `localhost`, which signs itself."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl is not installed (Debian: apt install openssl)"
    path = tmp_path / "localhost.pem"
    command = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        " -addext subjectAltName=DNS:localhost -keyout"
    )
    crt = path.with_suffix(".crt")
    subprocess.run([openssl, *command.split(), path, "-out", crt], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + crt.read_bytes())
    return path


def rules() -> list[str]:
    """The user's rules, as docs/operations.md has them."""
    text = (ROOT / "docs/operations.md").read_text()
    (line,) = (line for line in text.splitlines() if line.strip().startswith("ACL SETUSER nexgent "))
    return line.split()[3:]


async def test_events_arrive_over_tls_for_a_user_of_few_rights(
    transactional_db, alice, agent, position, certificate: Path, tmp_path: Path
):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    own = Valkey(FOLDER / "tls" / "data")
    own.folder.parent.mkdir()
    await sync_to_async(own.start)()
    operator = redis.Redis(unix_socket_path=str(own.socket), decode_responses=True)
    rights = [rule.replace("PASSWORD", "its-password") for rule in rules()]
    await sync_to_async(operator.execute_command)("ACL", "SETUSER", "nexgent", *rights)
    proxy = SilentProxy(str(own.socket), tls=tls)
    async with proxy.serving() as port:
        trusted = certificate.with_suffix(".crt")
        url = f"rediss://nexgent:its-password@localhost:{port}?ssl_ca_certs={trusted}"
        # Only the subscription delivers, and the server process itself publishes.
        server = Server("uvicorn", log=tmp_path / "log", REDIS_URL=url, NEXGENT_RECONCILE_SECONDS="3600")
        try:
            await sync_to_async(server.start)()

            async def valkey_answers() -> bool:  # within a second, or the check says that it does not
                ready = await sync_to_async(http.get)(f"{server.url}/health/ready")
                return bool(ready.json()["checks"]["valkey"] == "ok")

            await eventually(valkey_answers, "the server says that it reaches Valkey")
            async with watching(server, alice, agent) as socket:
                moved = await sync_to_async(http.post)(
                    f"{server.url}/api/positions/{position.pk}/stop-loss/",
                    json={"percentage": -1},
                    headers={"Authorization": f"Bearer {access_token(alice)}"},
                )
                assert moved.status_code == 200, moved.text
                assert (await socket.until("position_update"))["data"]["seq"] == 2
        finally:
            await sync_to_async(server.stop)()
            refused = await sync_to_async(operator.execute_command)("ACL", "LOG")
            operator.close()
            own.close()
    assert refused == []
    assert "its-password" not in server.log.read_text()
