"""Requests that are odd and legal, or nearly: daphne and uvicorn answer them alike."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from typing import Any

import pytest
from daphne import server as daphne_server
from daphne.server import Server as DaphneServer
from twisted.internet import reactor
from twisted.internet.address import IPv6Address
from twisted.internet.protocol import Factory

from realtime.launcher.addresses import as_in_url
from realtime.servers import targets
from realtime.servers.daphne import WebSocketProtocol, install
from tests.live import PATIENCE_SECONDS, Server, StartServer, access_token
from tests.raw_http import Exchange, handshake, head
from tests.waiting import until


def status_of(server: Server, target: str, *, host: str = "127.0.0.1") -> int:
    with Exchange(server, head(target, host=host)) as exchange:
        return exchange.status()


def percent_encoded(text: str) -> str:
    return "".join(f"%{ord(sign):02X}" for sign in text)


TARGETS = {
    "two slashes": "//ws?{query}",
    "a slash at the end": "/ws/?{query}",
    "absolute form": "http://127.0.0.1:{port}/ws?{query}",
    "absolute form of a socket": "ws://127.0.0.1:{port}//ws?{query}",
    "a fragment": "/ws?{query}#fragment",
    "an empty fragment": "/ws?{query}#",
    "an encoded path": "/%77%73?{query}",
    "an encoded token": "/ws?token={encoded}&agentId={agent}",
}


@pytest.mark.parametrize("case", TARGETS)
def test_target_of_every_form_opens_the_socket(server: Server, alice, agent, case):
    token = access_token(alice)
    query = f"token={token}&agentId={agent.pk}"
    target = TARGETS[case].format(
        query=query, port=server.port, encoded=percent_encoded(token), agent=agent.pk
    )
    with Exchange(server, handshake(target)) as exchange:
        assert b"initial_data" in exchange.until(b"initial_data")


@pytest.mark.parametrize("token", ["%C3%A9", "%FF%FE", "%00", "%", "%E2%80"])
def test_token_that_is_no_ascii_is_refused_as_any_other(server: Server, agent, token):
    for request in (
        handshake(f"/ws?token={token}&agentId={agent.pk}"),
        handshake(f"/ws?agentId={agent.pk}", "Authorization: Bearer \xe9"),
    ):
        with Exchange(server, request) as exchange:
            assert b"Authentication failed" in exchange.until(b"Authentication failed")


def test_expiry_as_text_is_refused_by_sockets_and_rest(server: Server, alice, agent):
    token = access_token(alice, exp=str(round(time.time()) + 600))
    with Exchange(server, handshake(f"/ws?token={token}&agentId={agent.pk}")) as exchange:
        assert b"Authentication failed" in exchange.until(b"Authentication failed")
    with Exchange(server, head("/api/agents/", f"Authorization: Bearer {token}")) as exchange:
        assert exchange.status() == 401


@pytest.mark.parametrize("target", ["/ws?token=\xe9", "/ws\xe9", "/health/live?\xe9"])
def test_bytes_that_are_no_ascii_in_a_target_are_answered_with_400(server: Server, target):
    make = handshake if target.startswith("/ws") else head
    with Exchange(server, make(target)) as exchange:
        assert exchange.status() == 400


@pytest.mark.parametrize(
    "target", ["//health/live", "http://127.0.0.1/health/live", "/health/live#x", "/health/live?#"]
)
def test_rest_takes_targets_of_every_form(server: Server, target):
    with Exchange(server, head(target)) as exchange:
        assert exchange.status() == 200


@pytest.mark.parametrize(
    ("target", "plain"),
    [
        (b"/a?b=//c", b"/a?b=//c"),
        (b"/a//b", b"/a//b"),
        (b"///a#?b", b"/a"),
        (b"http://host", b"/"),
        (b"http://host?a", b"/?a"),
        (b"HTTPS://user@host:1//a?b#c", b"/a?b"),
        (b"/a?b=http://host/c", b"/a?b=http://host/c"),
        (b"*", b"*"),
        (b"host:443", b"host:443"),
        (b"", b""),
    ],
)
def test_plain_target(target, plain):
    assert targets.plain(target) == plain
    assert targets.plain(plain) == plain


def test_target_below_a_root_path():
    """uvicorn puts the root in front of whatever form was sent."""
    scope = {"root_path": "/x", "path": "?", "raw_path": b"/xhttp://host//ws", "query_string": b"a=%23#b"}
    known = targets.with_plain_target(scope)
    assert (known["path"], known["raw_path"], known["query_string"]) == ("/x/ws", b"/x/ws", b"a=%23")


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
@pytest.mark.parametrize("cut_off", [False, True])
def test_everything_is_below_the_prefix_of_a_proxy(
    kind, cut_off, transactional_db, shared_server: StartServer, alice, agent
):
    """Whether or not the proxy cuts it off."""
    server, below = shared_server(kind, NEXGENT_URL_PREFIX="/a/b"), "" if cut_off else "/a/b"
    with Exchange(server, head(f"{below}/", "Connection: close")) as exchange:
        page = exchange.rest().decode()
    assert 'data-base="/a/b/"' in page
    script = re.search(r'src="/a/b(/static/realtime/[^"]*js)"', page)
    assert script is not None, page
    for path, status in {script[1]: 200, "/api/agents/": 401, "/nowhere": 404}.items():
        assert status_of(server, below + path) == status, path
    until(lambda: status_of(server, f"{below}/health/ready") == 200, "the server is ready")
    with Exchange(
        server, handshake(f"{below}/ws?token={access_token(alice)}&agentId={agent.pk}")
    ) as exchange:
        assert b"initial_data" in exchange.until(b"initial_data")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics"])
def test_probe_by_the_address_of_a_machine_is_answered(server: Server, path):
    until(
        lambda: status_of(server, "/health/ready") == 200,
        "the server is ready, as after a while without a turn",
    )
    for host in ("10.1.2.3:4000", "[fd00::1]:4000", "a_b"):
        assert status_of(server, path, host=host) == (200 if path != "/metrics" else 404)
    with Exchange(server, head("/api/agents/", host="10.1.2.3:4000")) as exchange:
        assert exchange.status() == 400


def test_daphne_lets_two_thousand_connections_wait(transactional_db, shared_server: StartServer):
    """While it does nothing at all: the kernel answers for it."""
    server = shared_server("daphne")
    assert server.process is not None
    connections: list[Exchange] = []
    server.process.send_signal(signal.SIGSTOP)
    try:
        connections.extend(Exchange(server) for _ in range(300))
    finally:
        server.process.send_signal(signal.SIGCONT)
        for connection in connections:
            connection.socket.close()
    with Exchange(server, head("/health/live")) as exchange:
        assert exchange.status() == 200


def test_daphnes_socket_stays_for_longer_than_a_day(monkeypatch):
    """Started without --websocket_timeout, as the README says."""
    closed = []
    monkeypatch.setattr(WebSocketProtocol, "serverClose", lambda self: closed.append(self))
    protocol = WebSocketProtocol()
    protocol.server = DaphneServer(None, endpoints=["tcp:0"])
    protocol.state = WebSocketProtocol.STATE_OPEN
    protocol.socket_opened, protocol.last_ping = time.time() - 2 * 86_400, time.time()
    protocol.check_timeouts()
    assert closed == []


def test_up_finds_its_server_on_all_addresses_of_ipv6():
    """uvicorn's listens for IPv6 only there."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(("::", 0))
        listener.listen()
        host = as_in_url("::").strip("[]")
        socket.create_connection((host, listener.getsockname()[1]), PATIENCE_SECONDS).close()


def test_daphne_listens_on_a_socket_of_ipv6_that_is_handed_down():
    """daphne's own `--fd` takes each for one of IPv4, and fails with the first connection."""
    install()
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        listener.listen()
        listener.settimeout(0)
        handed_down = os.dup(listener.fileno())
        endpoint = daphne_server.serverFromString(reactor, f"fd:fileno={handed_down}")
        ports: list[Any] = []
        endpoint.listen(Factory()).addCallback(ports.append)
        assert ports[0].getHost() == IPv6Address("TCP", *listener.getsockname())
        ports[0].stopListening()
