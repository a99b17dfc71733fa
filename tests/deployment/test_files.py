"""The deployment files are consistent with each other, and valid for the tools that this machine has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert set(known) == {"postgres", "valkey", "migrate", "server-1", "server-2", "prices", "nginx"}
    for name in ("migrate", "server-1", "server-2", "prices"):
        assert known[name]["environment"]["NEXGENT_SECRET_KEY"] == "k" * 50
        for needed in known[name]["depends_on"]:
            assert needed in known
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


def test_servers_listen_where_nginx_looks_for_them():
    upstream = re.findall(r"server 127\.0\.0\.1:(\d+)", (ROOT / "deploy/nginx.conf").read_text())
    known = services(VARIABLES)
    commands = [" ".join(known[name]["command"]) for name in ("server-1", "server-2")]
    assert [re.findall(r"(?:-p |--port=)(\d+)", command)[0] for command in commands] == upstream
    assert [known[name]["environment"]["PORT"] for name in ("server-1", "server-2")] == upstream
    assert {known[name]["network_mode"] for name in ("server-1", "server-2")} == {"service:nginx"}


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
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=3 * PATIENCE_SECONDS)
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
