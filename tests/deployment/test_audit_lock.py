"""The lock is complete, and the audit reports what the database copy lists, and claims no more."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from deploy import audit_lock
from deploy.audit_lock import AuditError, findings, main, read_lock
from tests.live import ROOT

HASH = f"--hash=sha256:{'0' * 64}"
ADVISORY: dict[str, Any] = {
    "id": "PYSEC-2026-1",
    "modified": "2026-11-01T00:00:00Z",
    "summary": "Reads too much.",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "Some.Package"},
            "ranges": [
                {
                    "type": "ECOSYSTEM",
                    "events": [
                        {"introduced": "1.10"},
                        {"fixed": "1.11.2"},
                        {"introduced": "0"},
                        {"fixed": "1.4"},
                    ],
                }
            ],
            "versions": ["3.0"],
        }
    ],
}


def locked(tmp_path: Path, version: str) -> Path:
    path = tmp_path / "lock"
    path.write_text(f"# a comment\nsome-package=={version} ; python_version >= '3' \\\n    {HASH}\n")
    return path


def test_lock_of_this_project_is_pinned_with_hashes():
    packages = read_lock((ROOT / "requirements.lock").read_text())
    assert min(packages["django"]) >= Version("5.2")
    assert len(packages) > 50


def test_lock_of_the_image_is_the_part_that_runs():
    """The same versions and hashes, all that the project depends on, and nothing of its tests and tools."""
    whole, image = (
        set(re.sub(r"\\\n", "", (ROOT / path).read_text()).splitlines())
        for path in ("requirements.lock", "deploy/requirements.lock")
    )
    assert image < whole
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    extras = project["optional-dependencies"]
    tools = {canonicalize_name(Requirement(line).name) for line in extras["dev"] + extras["testing"]}
    packages = read_lock((ROOT / "deploy/requirements.lock").read_text()).keys()
    assert named <= packages
    assert not tools & packages


def test_lock_of_the_image_has_whatever_the_code_imports():
    """Not only by way of a package that the tests install, too: production has no other."""
    imported = set()
    paths = [path for app in ("nexgent", "positions", "realtime") for path in (ROOT / app).rglob("*.py")]
    paths.remove(ROOT / "realtime/testing/fixtures.py")  # a plugin of pytest; the apps import nothing of it
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    locked = read_lock((ROOT / "deploy/requirements.lock").read_text()).keys()
    known = packages_distributions()
    missing = {
        name
        for name in imported - set(sys.stdlib_module_names) - {"nexgent", "positions", "realtime"}
        if not locked & {canonicalize_name(each) for each in known.get(name, [])}
    }
    assert missing == set()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"some-package>=1 {HASH}", "not pinned with ==: 'some-package>=1'"),
        (f"some-package {HASH}", "not one package at one version: 'some-package'"),
        (f"some-package @ file:///x {HASH}", "not one package at one version: 'some-package @ file:///x'"),
        ("some-package==1", "no sha256 hashes: 'some-package==1'"),
        ("some-package==1 --hash=md5:00", "no sha256 hashes: 'some-package==1'"),
        ("# nothing", "the lock names no package"),
    ],
)
def test_lock_that_is_none_is_refused(text, message):
    with pytest.raises(AuditError) as error:
        read_lock(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("version", "is_affected"),
    [
        ("1.3.9", True),
        ("1.4", False),
        ("1.9", False),  # before 1.10 by number, after it by letters
        ("1.10", True),
        ("1.11.2rc1", True),
        ("1.11.2", False),
        ("3.0", True),
    ],
)
def test_version_is_affected_as_the_ranges_say(version, is_affected):
    found = list(findings({"some-package": {Version(version)}}, ADVISORY))
    assert bool(found) is is_affected
    assert all(
        str(each) == f"some-package {version}: PYSEC-2026-1: Reads too much. (fixed in 1.11.2, 1.4)"
        for each in found
    )


def test_last_affected_version_is_affected_and_the_next_is_not():
    events = [{"introduced": "0"}, {"last_affected": "2.0"}]
    affected = {
        "package": {"ecosystem": "PyPI", "name": "x"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    advisory = {"id": "A", "details": "First line.\nSecond.", "affected": [affected]}
    assert list(findings({"x": {Version("2.0")}}, advisory))
    assert not list(findings({"x": {Version("2.0.1")}}, advisory))


@pytest.mark.parametrize(
    "change",
    [
        {"withdrawn": "2026-11-02T00:00:00Z"},
        {"affected": [{**ADVISORY["affected"][0], "package": {"ecosystem": "npm", "name": "some-package"}}]},
    ],
    ids=["withdrawn", "another ecosystem"],
)
def test_advisory_that_does_not_count_finds_nothing(change):
    assert not list(findings({"some-package": {Version("1.0")}}, {**ADVISORY, **change}))


def test_audit_without_a_database_does_not_call_the_lock_clean(tmp_path, capsys):
    assert main(["--lock", str(locked(tmp_path, "1.0"))]) == 0
    assert "vulnerabilities were not checked" in capsys.readouterr().out


def test_audit_against_a_zip_names_what_it_found_and_how_old_it_is(tmp_path, capsys):
    copy = tmp_path / "all.zip"
    with zipfile.ZipFile(copy, "w") as archive:
        archive.writestr("PYSEC-2026-1.json", json.dumps(ADVISORY))
    assert main(["--lock", str(locked(tmp_path, "1.0")), "--advisories", str(copy)]) == 1
    out = capsys.readouterr().out
    assert "some-package 1.0: PYSEC-2026-1: Reads too much." in out
    assert "1 found in 1 advisories, the newest of 2026-11-01." in out


def test_audit_against_a_folder_of_yaml_that_knows_nothing_bad(tmp_path, capsys):
    folder = tmp_path / "vulns" / "some-package"
    folder.mkdir(parents=True)
    (folder / "PYSEC-2026-1.yaml").write_text(json.dumps(ADVISORY))  # JSON is YAML
    arguments = ["--lock", str(locked(tmp_path, "2.0")), "--advisories", str(tmp_path / "vulns")]
    assert main(arguments) == 0
    assert "0 found in 1 advisories" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{"], ids=["empty", "broken"])
def test_audit_against_no_database_fails(tmp_path, capsys, content):
    folder = tmp_path / "vulns"
    folder.mkdir()
    if content:
        (folder / "a.json").write_text(content)
    assert main(["--lock", str(locked(tmp_path, "1.0")), "--advisories", str(folder)]) == 2
    assert "contains no advisories" in (said := capsys.readouterr().err) or "cannot be read" in said


def test_audit_runs_as_documented():
    done = subprocess.run([sys.executable, audit_lock.__file__], capture_output=True, text=True, check=True)
    assert "all pinned, all with hashes" in done.stdout
