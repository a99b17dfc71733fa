"""The deployment files are consistent with each other, and valid for the tools that this machine has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from realtime.conf import RealtimeSettings
from testbed import forkserver
from tests.deployment.compose import Missing, services
from tests.live import PATIENCE_SECONDS, ROOT

VARIABLES = {
    "NEXGENT_SECRET_KEY": "k" * 50,
    "NEXGENT_HOST": "nexgent.example.org",
    "POSTGRES_PASSWORD": "superuser",
    "NEXGENT_OWNER_PASSWORD": "owner",
    "NEXGENT_APP_PASSWORD": "app",
}
UNITS = sorted((ROOT / "deploy/systemd").glob("nexgent-*"))


def test_compose_has_the_whole_topology():
    known = services(VARIABLES)
    ours = {"migrate", "static", "server-1", "server-2", "prices", "maintenance"}
    assert set(known) == {"postgres", "valkey", "nginx", *ours}
    for name, service in known.items():
        if name in ours:
            assert service["environment"]["NEXGENT_SECRET_KEY"] == "k" * 50
        assert set(service.get("depends_on", ())) <= set(known)
    assert "nexgent_owner:owner@" in known["migrate"]["environment"]["DATABASE_URL"]
    assert "nexgent_app:app@" in known["server-1"]["environment"]["DATABASE_URL"]


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_compose_has_no_secret_of_its_own(name):
    with pytest.raises(Missing, match=name):
        services({**VARIABLES, name: ""})


def test_compose_sets_only_settings_that_exist():
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
    for name in ("migrate", "server-1", "server-2", "prices"):
        assert set(services(VARIABLES)[name]["environment"]) - {"PORT"} <= documented


def test_compose_is_what_composes_own_schema_says(tmp_path: Path):
    """With the schema of compose-spec, which check-jsonschema brings; and a misspelt key is not."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((ROOT / "compose.yaml").read_text().replace("  restart: ", "  restrat: "))
    for file, message in (
        (ROOT / "compose.yaml", "ok -- validation done"),
        (wrong, "'restrat' was unexpected"),
    ):
        command = [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.compose-spec",
            str(file),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert message in done.stdout, done.stdout + done.stderr


def test_servers_listen_where_nginx_looks_for_them():
    upstream = re.findall(
        r"^    server (\S+):(\d+) ", (ROOT / "deploy/nginx-servers-compose.conf").read_text(), re.MULTILINE
    )
    known = services(VARIABLES)
    for name, port in upstream:
        assert re.findall(r"(?:-p |--port=)(\d+)", " ".join(known[name]["command"])) == [port]
        assert re.findall(r"(?:-b |--host=)(\S+)", " ".join(known[name]["command"])) == ["0.0.0.0"]  # noqa: S104
        assert known[name]["environment"]["PORT"] == port
    assert [name for name, _ in upstream] == ["server-1", "server-2"]


def test_no_service_loses_its_network_with_another_or_fills_the_disk_with_its_log():
    """A container in another one's network is cut off when that one restarts."""
    for service in services(VARIABLES).values():
        assert "network_mode" not in service
        assert service["logging"]["options"]["max-size"]
        assert service["restart"] in {"unless-stopped", "no"}


def test_descriptors_suffice_for_as_many_sockets_as_are_accepted():
    known, most = services(VARIABLES), RealtimeSettings.MAX_SOCKETS
    unit = (ROOT / "deploy/systemd/nexgent-server@.service").read_text()
    limits = [known[name]["ulimits"]["nofile"] for name in ("server-1", "server-2")]
    assert min(*limits, *map(int, re.findall(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE))) > most
    main = (ROOT / "deploy/nginx-main.conf").read_text()
    (files,), (connections,) = (
        re.findall(rf"{name} (\d+);", main) for name in ("worker_rlimit_nofile", "worker_connections")
    )
    assert known["nginx"]["ulimits"]["nofile"] >= int(files) > int(connections) > 2 * most


def test_containers_are_maintained_as_machines_are():
    unit = (ROOT / "deploy/systemd/nexgent-maintenance.service").read_text()
    daily = re.findall(r"^ExecStart=/opt/nexgent/\.venv/bin/(.*)$", unit, re.MULTILINE)
    (_, _, script) = services(VARIABLES)["maintenance"]["command"]
    assert script == f"while true; do {'; '.join(daily)}; sleep 86400; done"


def test_files_that_compose_mounts_and_the_image_copies_exist():
    for service in services(VARIABLES).values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (ROOT / source).exists(), volume
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    let_in = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(sources) == sorted(let_in)
    assert all((ROOT / source).exists() for source in sources)


def test_compose_client_agrees():
    """Where `docker compose` is there (it needs no engine for this); elsewhere the tests above have read the file."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        command = [docker, "compose", "-f", str(ROOT / "compose.yaml"), "config", "--quiet"]
        done = subprocess.run(
            command, env={**VARIABLES, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_names_commands_that_exist_and_settings_file_and_user(unit):
    text = unit.read_text()
    if unit.suffix == ".timer":
        assert unit.with_suffix(".service") in UNITS
        return
    commands = re.findall(r"^ExecStart=/opt/nexgent/\.venv/bin/(\S+) (.*)$", text, re.MULTILINE)
    assert commands
    for program, arguments in commands:
        assert (Path(sys.executable).parent / program).exists()
        if program == "python":
            command = [sys.executable, "manage.py", arguments.split()[1], "--help"]
            done = forkserver.run(command, env=os.environ, cwd=ROOT, timeout=3 * PATIENCE_SECONDS)
            assert done.returncode == 0, done.stderr
    assert "User=nexgent\n" in text
    assert "EnvironmentFile=/etc/nexgent/environment\n" in text


def test_units_are_what_systemd_expects(tmp_path):
    """Where `systemd-analyze` is there. It wants the programs, too: the units are given this machine's."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        return
    files = []
    for unit in UNITS:
        text = unit.read_text().replace("/opt/nexgent/.venv/bin", str(Path(sys.executable).parent))
        files.append(tmp_path / unit.name.replace("@.", "@4001."))
        files[-1].write_text(text)
    done = subprocess.run(
        [tool, "verify", "--man=no", *map(str, files)],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,
    )
    ours = [line for line in done.stderr.splitlines() if "nexgent" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
