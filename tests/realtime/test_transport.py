"""Where pages are redirected to HTTPS, sockets without TLS are refused before their token counts for anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from realtime.hub.hub import close_hub
from realtime.socket.routing import websocket_application
from realtime.testing.sockets import Communicator
from tests.live import PATIENCE_SECONDS

HTTPS, HTTP = (b"x-forwarded-proto", b"https"), (b"x-forwarded-proto", b"http")


@pytest.fixture(autouse=True)
async def hub_ends() -> AsyncIterator[None]:
    yield
    await asyncio.wait_for(close_hub(), PATIENCE_SECONDS)


async def is_accepted(scheme: str, *headers: tuple[bytes, bytes]) -> bool:
    """Return whether the handshake is; the token is none, which the client is told afterwards."""
    socket = Communicator(websocket_application(), "/ws?token=nonsense", headers=list(headers))
    socket.scope["scheme"] = scheme
    accepted, _ = await socket.connect(PATIENCE_SECONDS)
    await socket.disconnect(timeout=PATIENCE_SECONDS)
    return bool(accepted)


@pytest.fixture
def redirecting(settings) -> None:
    settings.SECURE_SSL_REDIRECT = True


async def test_socket_without_tls_is_accepted_where_pages_are(settings):
    assert not settings.SECURE_SSL_REDIRECT
    assert await is_accepted("ws")


async def test_socket_needs_tls_where_pages_are_redirected(redirecting):
    assert not await is_accepted("ws")
    assert await is_accepted("wss")
    assert not await is_accepted("ws", HTTPS)  # any client could say so


@pytest.mark.parametrize(
    ("scheme", "headers", "accepted"),
    [
        ("ws", [HTTPS], True),
        ("ws", [HTTP], False),
        ("wss", [HTTP], False),  # between the proxy and this process only
        ("wss", [], True),
        ("ws", [], False),
        ("ws", [(b"x-forwarded-proto", b"https, http")], True),  # the first proxy's, as Django reads it
    ],
)
async def test_proxy_says_whether_a_socket_has_tls(redirecting, settings, scheme, headers, accepted):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert await is_accepted(scheme, *headers) is accepted
