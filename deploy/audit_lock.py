"""Check requirements.lock: every package is pinned with its hashes, and a copy of a vulnerability database lists
none of these versions.

    python deploy/audit_lock.py                              only pins and hashes
    python deploy/audit_lock.py --advisories all.zip         OSV's export for PyPI, a zip of JSON files
    python deploy/audit_lock.py --advisories advisory-database/vulns    a checkout of the PyPA's, YAML files

No network: it knows no more than the copy, whose newest entry it names. Without a copy it reports that no
vulnerabilities were checked. (pip-audit asks a service over the network for each package.)
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\Z")


class AuditError(Exception):
    """The lock, or the copy of the database, cannot be read. The message can be shown to the user."""


class Finding(NamedTuple):
    package: str
    version: str
    advisory: str
    summary: str
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no fixed version is known"
        return f"{self.package} {self.version}: {self.advisory}: {self.summary} ({fixed})"


def read_lock(text: str) -> dict[str, set[Version]]:
    """Return the versions of each package; markers choose between several.

    Raises AuditError, naming what is not pinned or has no hash.
    """
    packages: dict[str, set[Version]] = {}
    for entry in re.sub(r"\\\n", " ", text).splitlines():
        line = entry.split(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        wanted, *hashes = re.split(r"\s+(?=--)", line)
        try:
            requirement = Requirement(wanted)
            (pin,) = requirement.specifier
            version = Version(pin.version)
        except (InvalidRequirement, InvalidVersion, ValueError) as error:
            raise AuditError(f"not one package at one version: {wanted!r}") from error
        if pin.operator != "==" or requirement.url:
            raise AuditError(f"not pinned with ==: {wanted!r}")
        if not hashes or not all(_HASH.match(each) for each in hashes):
            raise AuditError(f"no sha256 hashes: {wanted!r}")
        packages.setdefault(canonicalize_name(requirement.name), set()).add(version)
    if not packages:
        raise AuditError("the lock names no package")
    return packages


def advisories(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the OSV entries, JSON or YAML, of a zip, a folder or a file. Raises AuditError."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith(".json"):
                        yield json.loads(archive.read(name))
            return
        files = [path] if path.is_file() else sorted([*path.rglob("*.json"), *path.rglob("*.yaml")])
        for file in files:
            yield (
                json.loads(file.read_bytes()) if file.suffix == ".json" else yaml.safe_load(file.read_text())
            )
    except (OSError, ValueError, yaml.YAMLError, zipfile.BadZipFile) as error:
        raise AuditError(f"{path} cannot be read: {error}") from error


def findings(packages: Mapping[str, set[Version]], advisory: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the locked packages, at versions that the advisory affects."""
    if advisory.get("withdrawn"):
        return
    for affected in advisory.get("affected") or ():
        package = affected.get("package") or {}
        name = canonicalize_name(package.get("name", ""))
        if package.get("ecosystem") != "PyPI" or name not in packages:
            continue
        summary = advisory.get("summary") or (advisory.get("details") or "no summary").strip().splitlines()[0]
        fixed = tuple(event["fixed"] for event in _events(affected) if "fixed" in event)
        for version in packages[name]:
            if _affects(affected, version):
                yield Finding(name, str(version), str(advisory.get("id")), summary[:200], fixed)


def _affects(affected: Mapping[str, Any], version: Version) -> bool:
    """OSV: a version is affected if it is listed or in one of the ranges."""
    if any(_version(each) == version for each in affected.get("versions") or ()):
        return True
    for each in affected.get("ranges") or ():
        if each.get("type") != "ECOSYSTEM":
            continue  # commits: a lock has none
        inside = False
        for event in sorted(each.get("events") or (), key=_place):
            kind, at = next(iter(event.items()))
            if kind == "introduced" and _version(at) <= version:
                inside = True
            elif (kind == "fixed" and _version(at) <= version) or (
                kind == "last_affected" and _version(at) < version
            ):
                inside = False
        if inside:
            return True
    return False


def _events(affected: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    for each in affected.get("ranges") or ():
        if each.get("type") == "ECOSYSTEM":
            yield from each.get("events") or ()


def _place(event: Mapping[str, str]) -> Version:
    return _version(next(iter(event.values())))


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:  # from before PEP 440: older than anything that can be locked
        return Version("0")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lock", type=Path, default=LOCK)
    parser.add_argument("--advisories", type=Path, help="a zip, a folder or a file in OSV's format")
    options = parser.parse_args(arguments)
    try:
        packages = read_lock(options.lock.read_text())
        print(f"{len(packages)} packages, all pinned, all with hashes.")
        if options.advisories is None:
            print("No copy of a vulnerability database was given: vulnerabilities were not checked.")
            return 0
        known, newest = 0, ""
        found: list[Finding] = []
        for advisory in advisories(options.advisories):
            known += 1
            newest = max(newest, str(advisory.get("modified", "")))
            found += findings(packages, advisory)
        if not known:
            raise AuditError(f"{options.advisories} contains no advisories")
    except (AuditError, OSError) as error:
        print(f"{options.lock}: {error}", file=sys.stderr)
        return 2
    for finding in sorted(found):
        print(finding)
    print(f"{len(found)} found in {known:,} advisories, the newest of {newest[:10] or 'an unknown day'}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
