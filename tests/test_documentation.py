"""Everything that users see is documented: a new name fails here until it is."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import get_commands, load_command_class

from nexgent.settings import env
from positions.books.snapshots import LivePosition
from realtime.protocol import messages
from realtime.protocol.messages import MESSAGES, CloseReason, ErrorCode
from realtime.protocol.requests import REQUESTS
from tests.live import ROOT

PROTOCOL = (ROOT / "docs/protocol.md").read_text()
SETTINGS = (ROOT / "docs/settings.md").read_text()
COMMANDS = (ROOT / "docs/commands.md").read_text()
FOLDERS = [
    "nexgent",
    "positions",
    "realtime",
    "templates",
    "deploy",
    "tests",
    "testbed",
    "benchmarks",
    "tools",
]
FILE_NAMES = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")} | {"manage.py"}
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def section(page: str, heading: str) -> str:
    """Return what stands below a heading of the second level; "" where there is none."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def rows(text: str) -> dict[str, str]:
    """Return the rows of the tables in a text, by the name that each begins with."""
    return {match[1]: match[0] for match in re.finditer(r"^\| `([^`]+)` \|.*$", text, re.MULTILINE)}


# The wire


def test_every_close_code_is_documented_and_every_documented_one_exists():
    found = re.findall(r"^\| (\d{4}) \| `([^`]+)` \|", section(PROTOCOL, "Close codes"), re.MULTILINE)
    assert {(int(code), reason) for code, reason in found} == {
        (each.value.code, each.value.reason) for each in CloseReason
    }


def test_every_error_code_is_documented_and_every_documented_one_exists():
    assert set(rows(section(PROTOCOL, "Errors"))) == {each.value for each in ErrorCode}


def test_every_message_and_its_fields_are_documented():
    documented = rows(section(PROTOCOL, "From server to client"))
    assert list(documented) == [each.__struct_config__.tag for each in MESSAGES]
    for each in MESSAGES:
        data = each.__annotations__.get("data", each.__name__)
        for field in getattr(messages, data).__struct_encode_fields__:
            assert f"`{field}`" in documented[str(each.__struct_config__.tag)]


def test_every_request_and_its_fields_are_documented():
    documented = rows(section(PROTOCOL, "From client to server"))
    assert set(documented) == set(REQUESTS)
    for kind, request in REQUESTS.items():
        for field in set(request.__struct_encode_fields__) - {"timestamp"}:
            assert f"`{field}`" in documented[kind]


def test_every_field_of_a_position_is_documented():
    text = section(PROTOCOL, "A position")
    documented = re.findall(r"`([a-z][a-zA-Z]+)`", text.replace("`live`", "").replace("`purchase`", ""))
    assert set(documented) == set(LivePosition.__struct_encode_fields__)


# What an operator sets and calls


def test_every_setting_is_documented_and_every_documented_setting_exists():
    assert env.names == set(re.findall(r"^\| `([A-Z_]+)` \|", SETTINGS, re.MULTILINE))


def own_commands() -> dict[str, str]:
    return {name: app for name, app in get_commands().items() if app in {"positions", "realtime"}}


def options(name: str) -> Iterator[str]:
    """Yield the command's own arguments, as they are typed."""
    parser = argparse.ArgumentParser(add_help=False)
    command = load_command_class(own_commands()[name], name)
    command.add_arguments(parser)  # type: ignore[arg-type]  # Django's is a subclass, whose additions none uses
    for action in parser._actions:
        yield (
            action.option_strings[0] if action.option_strings else str(action.metavar or action.dest).upper()
        )


def test_every_command_is_documented_and_every_documented_command_exists():
    assert sorted(re.findall(r"^## (\w+)$", COMMANDS, re.MULTILINE)) == sorted(own_commands())


@pytest.mark.parametrize("name", own_commands())
def test_every_option_of_a_command_is_documented(name: str):
    documented = [row.split()[0] for row in rows(section(COMMANDS, name))]
    assert sorted(documented) == sorted(options(name))


def test_every_system_check_is_documented():
    sources = [
        path.read_text()
        for package in ("nexgent", "positions", "realtime")
        for path in (ROOT / package).rglob("*.py")
    ]
    ids = set(re.findall(r'id="(\w+\.[EW]\d{3})"', "".join(sources)))
    pages = "".join(page.read_text() for page in PAGES)
    assert ids
    assert {each for each in ids if f"`{each}`" not in pages} == set()


# The pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path):
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        address = urlsplit(target)
        file = page.parent / address.path if address.path else page
        if not address.scheme and not (
            file.exists() and (not address.fragment or address.fragment in anchors(file.read_text()))
        ):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path):
    text = page.read_text()
    named = re.findall(rf"(?<![\w/])(?:{'|'.join(FOLDERS)})/[\w./-]*\.\w+", text)
    # An example counts as the file that is made from it.
    known = {name for name in named if (ROOT / name).exists() or (ROOT / f"{name}.example").exists()}
    assert set(named) - known == set()
    alone = re.findall(r"`(\w[\w-]*\.(?:py|js|cjs|css|html))`", text)
    assert set(alone) - FILE_NAMES == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_no_unresolved_conflict(page: Path):
    assert not re.findall(r"^(?:<{7}|={7}|>{7})(?: .*)?$", page.read_text(), re.MULTILINE)


def test_every_page_is_in_the_index():
    index = (ROOT / "docs/README.md").read_text()
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if ROOT / "docs" in page.parents} - {
        "README.md"
    }
    assert {page for page in pages if f"({page})" not in index} == set()


def anchors(text: str) -> set[str]:
    """Return what GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
