"""The direct write past ASGI: its frames, and that the locked servers support it."""

from __future__ import annotations

import asyncio
import json
import ssl
from asyncio.sslproto import SSLProtocol
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from realtime.hub.encoded_prices import PlainPrices
from realtime.protocol.frames import payload_of, text_frame
from realtime.servers import daphne, uvicorn
from realtime.socket.connection import EXTENSION, Connection

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
    assert payload_of(text_frame(text)) == text.encode()


@pytest.mark.parametrize("length", LENGTHS)
def test_frame_of_prices_is_their_message_in_a_frame(length):
    prices = PlainPrices({"A": "a" * length, "B": "{}"}, "then")
    pieces = [prices["A"], prices["B"]]
    message = prices.message(pieces)
    before, _, after = message.partition(b"a" * length + b",{}")
    assert json.loads(before + b"{}" + after) == {
        "type": "price_update_batch",
        "data": {"updates": [{}], "timestamp": "then"},
    }
    assert prices.frame(pieces) == prices.frame(pieces) == text_frame(message)
    assert prices.taken() == (3, 3 * len(message))


@pytest.mark.parametrize("closes", ["the client", "the server", "a failure"])
def test_no_frame_follows_a_close_under_uvicorn(closes):
    """Not even in the turn of the event loop in which the close is sent: prices are on their way all the time."""
    stopped: list[str] = []
    server: Any = uvicorn.BoundedProtocol(state=OPEN)
    server.frames = SimpleNamespace(stop=lambda: stopped.append(closes))
    if closes == "the client":
        client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN)
        client.send_close(1000)
        server.receive_data(b"".join(client.data_to_send()))
    elif closes == "the server":
        server.send_text(b"text")
        server.send_ping(b"")
        assert not stopped
        server.send_close(1000)
    else:
        server.receive_data(bytes((0x81, 0x00)))  # not masked
    assert stopped == [closes]


def test_direct_way_is_there_under_the_servers_of_the_lock():
    """A new version of a server falls back to ASGI until somebody has looked at it: here that is noticed."""
    uvicorn.install()
    for server_protocol in (WebSocketsSansIOProtocol, daphne.WebSocketProtocol):
        assert hasattr(server_protocol, "text_writer")
        assert hasattr(server_protocol, "frame_writer")
    assert daphne.KNOWN_VERSIONS


async def test_connection_over_tls_that_was_closed_twice_is_gone():
    """uvicorn closes its transport more than once, and that of asyncio's TLS then raises AttributeError."""
    uvicorn.install()
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls: Any = SSLProtocol(loop, asyncio.Protocol(), context, loop.create_future(), server_side=True)
    transport = tls._get_app_transport()
    transport.close()
    transport.close()
    protocol: Any = object.__new__(WebSocketsSansIOProtocol)
    protocol.transport, protocol.conn = transport, SimpleNamespace(extensions=[])
    protocol.writable = asyncio.Event()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    with Connection({"extensions": {EXTENSION: protocol}}, queue.get, protocol.send) as connection:
        assert connection.is_gone()
        assert connection.unsent_bytes() == 0
        connection.cut_off()
    assert await connection.receive() == {"type": "websocket.disconnect", "code": 1006}
