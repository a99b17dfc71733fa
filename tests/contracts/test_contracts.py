"""Clients of the last release understand today's server, or CHANGELOG.md tells them of it."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from realtime.protocol.asyncapi import VERSION
from tests.contracts.documents import asyncapi_breaks, openapi_breaks
from tests.contracts.release import ROOT, Accepted, accepted, changes_since, complaints, released, today

BREAKS = {"asyncapi": asyncapi_breaks, "openapi": openapi_breaks}


def test_what_breaks_clients_of_the_last_release_is_in_the_changelog():
    version, before = released()
    now = today()
    breaks = [each for name, find in BREAKS.items() for each in find(before[name], now[name])]
    changes = changes_since((ROOT / "CHANGELOG.md").read_text(), version)
    assert complaints(breaks, accepted(), changes) == []


@pytest.mark.parametrize("name", BREAKS)
def test_documents_that_differ_from_the_last_release_have_a_higher_version(name: str):
    before, now = released()[1][name], today()[name]
    if BREAKS[name](before, now) or BREAKS[name](now, before):
        assert _version(now) > _version(before)
    else:
        assert _version(now) == _version(before)


def test_both_documents_name_their_version_alike():
    assert {len(_version(each)) for each in today().values()} == {2}


@pytest.mark.parametrize("client", ["python", "javascript"])
def test_readme_of_a_client_names_the_version_of_the_protocol(client: str):
    readme = (ROOT / "clients" / client / "README.md").read_text()
    assert f"speaks version {VERSION} of the protocol" in readme


def test_packages_have_the_version_that_the_changelog_begins_with():
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    newest = re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", headings[1])
    assert newest
    for project in (ROOT, ROOT / "clients/python"):
        assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"] == newest[1]


CHANGELOG = """# Changelog

## Unreleased

### Removed

- Route **a** is
  gone.

## 0.2.0 - 2026-11-26

### Added

- Route b.

### Changed

- Route c needs a body.

## 0.1.0 - 2026-11-01

### Removed

- Route d is gone.
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Route **a** is gone.", True),
        ("Route c needs\n  a body", True),
        ("Route b", False),
        ("Route d is gone", False),
        (" ", False),
    ],
)
def test_accepted_break_must_be_told_under_changed_or_removed_since_then(words: str, found: bool):
    changes = changes_since(CHANGELOG, "0.1.0")
    said = complaints(["a: removed"], [Accepted("a: removed", words)], changes)
    assert bool(said) != found


def test_break_that_is_not_listed_and_a_line_that_is_no_break_are_named():
    said = complaints(["a: removed"], [Accepted("b: removed", "Route c")], "Route c")
    assert said == [
        "breaks clients, and accepted.toml does not list it: a: removed",
        "listed, and no break: b: removed",
    ]


def _version(document: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(each) for each in document["info"]["version"].split("."))
