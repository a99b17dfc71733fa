"""What a user can meet is documented: a new name fails here until it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from realtime import protocol
from realtime.protocol import CloseReason, ErrorCode
from tests.live import ROOT

PROTOCOL = (ROOT / "docs/protocol.md").read_text()
SETTINGS = (ROOT / "docs/settings.md").read_text()


@pytest.mark.parametrize("close", list(CloseReason), ids=lambda close: close.name)
def test_every_close_code_is_documented(close):
    assert re.search(rf"\| {close.value.code} \| `{close.value.reason}` \|", PROTOCOL)


@pytest.mark.parametrize("error", list(ErrorCode), ids=lambda error: error.name)
def test_every_error_code_is_documented(error):
    assert f"| `{error.value}` |" in PROTOCOL


@pytest.mark.parametrize(
    "message",
    [
        each
        for each in vars(protocol).values()
        if getattr(getattr(each, "__struct_config__", None), "tag", None)
    ],
    ids=lambda message: message.__name__,
)
def test_every_message_and_its_fields_are_documented(message):
    row = re.search(rf"^\| `{message.__struct_config__.tag}` \|.*$", PROTOCOL, re.MULTILINE)
    assert row, message
    data = message.__annotations__.get("data")
    if data:
        for field in getattr(protocol, data).__struct_encode_fields__:
            assert f"`{field}`" in row[0]


def test_every_setting_is_documented_and_every_documented_setting_exists():
    source = "".join(Path(ROOT / "nexgent" / name).read_text() for name in ("settings.py", "environment.py"))
    names = set(re.findall(r'"((?:NEXGENT_|DATABASE_URL|REDIS_URL)[A-Z_]*)"', source))
    assert names == set(re.findall(r"^\| `([A-Z_]+)` \|", SETTINGS, re.MULTILINE))
