"""The direct write past ASGI: its frames, and that the locked servers support it."""

from __future__ import annotations

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from realtime.servers import daphne, uvicorn
from realtime.servers.frames import text_frame

# On both sides of each form of the length (RFC 6455, section 5.2).
LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("sign", ["a", "é"])
def test_text_frame_is_what_a_client_reads_as_one_message(length, sign):
    text = sign * (length // len(sign.encode()))
    client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN)
    client.receive_data(text_frame(text) + text_frame("next"))
    first, second = client.events_received()
    assert first == Frame(Opcode.TEXT, text.encode())
    assert second == Frame(Opcode.TEXT, b"next")


def test_direct_way_is_there_under_the_servers_of_the_lock():
    """A new version of a server falls back to ASGI until somebody has looked at it: here that is noticed."""
    uvicorn.install()
    for server_protocol in (WebSocketsSansIOProtocol, daphne.WebSocketProtocol):
        assert hasattr(server_protocol, "text_writer")
    assert daphne.KNOWN_VERSIONS
