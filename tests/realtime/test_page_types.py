"""The page's types name the fields that the server sends: no more, no fewer."""

from __future__ import annotations

import re

import msgspec
import pytest
from msgspec import Struct

from positions.api import wire, wire_history
from positions.books import snapshots
from realtime.protocol import messages
from tests.live import ROOT

DECLARED = dict(
    re.findall(
        r"^  interface (\w+)(?:<\w+>)?(?: extends \w+)? \{\n(.*?)^  \}",
        (ROOT / "tools/page/wire.d.ts").read_text(),
        re.MULTILINE | re.DOTALL,
    )
)
FROM_SERVER = {
    name: kind
    for module in (messages, snapshots, wire, wire_history)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Struct) and name in DECLARED
}
EVENTS = {"PositionChanged": {"eventType", "seq", "timestamp", "position", "positionId"}}
EVENTS["PositionClosed"] = EVENTS["PositionChanged"]
OF_THE_PAGE_ALONE = {"Session", "Page"}


def test_every_declared_type_is_one_of_the_server():
    assert set(DECLARED) == {*FROM_SERVER, *EVENTS, *OF_THE_PAGE_ALONE}


@pytest.mark.parametrize("name", sorted({*FROM_SERVER, *EVENTS}))
def test_declared_type_has_the_fields_that_the_server_sends(name: str):
    declared = set(re.findall(r"^    (\w+)\??:", DECLARED[name], re.MULTILINE))
    if name in EVENTS:
        assert declared == EVENTS[name] == fields(messages.PositionUpdateData) == fields(wire.EventOnRest)
    else:
        inherited = fields(FROM_SERVER[name].__mro__[1])
        assert declared == fields(FROM_SERVER[name]) - inherited


def fields(kind: type) -> set[str]:
    if kind is Struct:
        return set()
    return {field.encode_name for field in msgspec.structs.fields(kind)}
