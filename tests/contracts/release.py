"""The documents of the last release, and today's. `python -m tests.contracts.release` stores today's as released.

Run it with the commit that is tagged. 0.1.0 had no tag: its documents are of the last commit before the watchers,
quotas and token families of 0.2.0.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import django

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAMES = ("asyncapi", "openapi")


class Accepted(NamedTuple):
    """A break that is on purpose, and the words of CHANGELOG.md that tell users of it."""

    break_: str
    changelog: str


def released() -> tuple[str, dict[str, Any]]:
    """Return the version of the last release, and its documents by name."""
    (folder,) = (each for each in HERE.iterdir() if re.fullmatch(r"\d+\.\d+\.\d+", each.name))
    return folder.name, {name: json.loads((folder / f"{name}.json").read_text()) for name in NAMES}


def today() -> dict[str, Any]:
    """Return the documents as the server gives them, by name."""
    from drf_spectacular.generators import SchemaGenerator  # needs Django's apps

    from realtime.protocol.asyncapi import asyncapi

    openapi = SchemaGenerator().get_schema(request=None, public=True)
    return {
        name: json.loads(json.dumps(each)) for name, each in zip(NAMES, (asyncapi(), openapi), strict=True)
    }


def accepted() -> list[Accepted]:
    """Return what accepted.toml lists."""
    listed = tomllib.loads((HERE / "accepted.toml").read_text()).get("accepted", [])
    return [Accepted(each["break"], each["changelog"]) for each in listed]


def changes_since(changelog: str, version: str) -> str:
    """Return what stands under "Changed" and "Removed" in all that is newer than this version, in one line."""
    newer = re.split(rf"^## {re.escape(version)}\b", changelog, maxsplit=1, flags=re.MULTILINE)[0]
    sections = re.findall(r"^### (?:Changed|Removed)\n(.*?)(?=^##|\Z)", newer, re.MULTILINE | re.DOTALL)
    return " ".join(" ".join(sections).split())


def complaints(breaks: list[str], accepted: list[Accepted], changes: str) -> list[str]:
    """Return a sentence for each break that nobody is told of, and each line of accepted.toml that is of no use."""
    listed = {each.break_ for each in accepted}
    return [
        *(
            f"breaks clients, and accepted.toml does not list it: {each}"
            for each in breaks
            if each not in listed
        ),
        *(f"listed, and no break: {each}" for each in sorted(listed - set(breaks))),
        *(
            f"no words of CHANGELOG.md under Changed or Removed: {each.changelog!r}"
            for each in accepted
            if not each.changelog.strip() or " ".join(each.changelog.split()) not in changes
        ),
    ]


def store() -> Path:
    """Replace the documents of the last release by today's, and return their folder."""
    version = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
    before, _ = released()
    documents = today()
    shutil.rmtree(HERE / before)
    folder = HERE / version
    folder.mkdir()
    for name, document in documents.items():
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n")
    return folder


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexgent.settings")
    django.setup()
    store()
