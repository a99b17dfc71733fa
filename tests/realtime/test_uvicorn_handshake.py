"""A plain handshake is told without h11, and is what h11 makes of it; everything else is left to h11."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realtime.servers.uvicorn_handshake import Handshake, handshake_in

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
PLAIN = [
    b"Host: 127.0.0.1:8000",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    KEY,
    b"Sec-WebSocket-Version: 13",
]
BROWSER = [
    b"Host: app.example.org",
    b"Connection: keep-alive, Upgrade",
    b"Pragma: no-cache",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    b"Upgrade: WebSocket",
    b"Origin: https://app.example.org",
    b"Sec-WebSocket-Version: 13",
    b"Accept-Language: en-US,en;q=0.9",
    b'Cookie: theme="dark: 1"; a=b',
    KEY,
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    b"Sec-WebSocket-Protocol: nexgent.compact.v1",
]


def head(lines: list[bytes], request: bytes = b"GET /ws?token=a.b-c_d&agentId=1 HTTP/1.1") -> bytes:
    return b"\r\n".join([request, *lines, b"", b""])


def by_h11(data: bytes) -> Handshake | None:
    """Return what uvicorn takes from h11; None where h11 refuses the head."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Request)
    return Handshake(event.method, event.target, [(name.lower(), value) for name, value in event.headers])


@pytest.mark.parametrize(
    "lines",
    [
        PLAIN,
        BROWSER,
        [*PLAIN, b"X-Empty:", b"X-Blank:  \t ", b"X-Around: \t a  b\t "],
        [*PLAIN, b"X-Twice: 1", b"X-Twice: 2", b"x-!#$%&'*+.^_`|~0: ~"],
    ],
)
def test_plain_handshake_is_what_h11_makes_of_it(lines: list[bytes]):
    found = handshake_in(head(lines))
    assert found is not None
    assert found == by_h11(head(lines))


@pytest.mark.parametrize(
    "data",
    [
        head(PLAIN[1:]),
        head([*PLAIN, b"Host: another"]),
        head([*PLAIN, b"Upgrade: websocket"]),
        head([*PLAIN, b"Connection: close"]),
        head([PLAIN[0], b"Upgrade: h2c", *PLAIN[2:]]),
        head([PLAIN[0], PLAIN[1], b"Connection: keep-alive", *PLAIN[3:]]),
        head([*PLAIN, b"Content-Length: 0"]),
        head([*PLAIN, b"Transfer-Encoding: chunked"]),
        head([*PLAIN, b"X-Folded: a", b" b"]),
        head([*PLAIN, b"X-Umlaut: \xc3\xa4"]),
        head([*PLAIN, b"X-Nul: \x00"]),
        head([*PLAIN, b"X Blank: a"]),
        head([*PLAIN, b"X-Before : a"]),
        head([*PLAIN, b": a"]),
        head([*PLAIN, b"no colon"]),
        head([]),
        head(PLAIN, b"POST /ws HTTP/1.1"),
        head(PLAIN, b"get /ws HTTP/1.1"),
        head(PLAIN, b"GET /ws HTTP/1.0"),
        head(PLAIN, b"GET http://host/ws HTTP/1.1"),
        head(PLAIN, b"GET  /ws HTTP/1.1"),
        head(PLAIN, b"GET /w s HTTP/1.1"),
        head(PLAIN, b"GET /\xc3\xa4 HTTP/1.1"),
        head(PLAIN, b"\r\nGET /ws HTTP/1.1"),
        head(PLAIN).replace(b"\r\n", b"\n"),
        head(PLAIN)[:-1],
        head(PLAIN)[:-2],
        head(PLAIN) + b"\x81\x80\x00\x00\x00\x00",
        b"",
    ],
)
def test_everything_else_is_left_to_h11(data: bytes):
    assert handshake_in(data) is None


pieces = st.sampled_from(
    [
        *PLAIN,
        *BROWSER,
        b"X: ",
        b" ",
        b"\t",
        b":",
        b"\r",
        b"\n",
        b"\r\n",
        b"\x00",
        b"\x7f",
        b"\x80",
        b"Host",
        b"a",
    ]
)


@given(st.lists(pieces, max_size=12), st.lists(pieces, max_size=2))
@example(PLAIN, [])
def test_whatever_is_taken_for_a_handshake_is_one_to_h11_too(lines: list[bytes], torn: list[bytes]):
    for data in (head(lines), head([*PLAIN, *lines]), head([*PLAIN, b"".join(torn)])):
        found = handshake_in(data)
        if found is not None:
            assert found == by_h11(data)
