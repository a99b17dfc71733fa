"""A body over its limit, or too slow, is refused while it arrives; what fits is served as ever."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.live import PATIENCE_SECONDS, Server, StartServer, access_token

API, FORM = 65_536, 100_000
DETAIL = {API: "The body must have at most 65536 bytes.", FORM: "The body must have at most 100000 bytes."}


@pytest.fixture(params=["daphne", "uvicorn"])
def bounded(request: pytest.FixtureRequest, transactional_db, shared_server: StartServer) -> Server:
    return shared_server(request.param, NEXGENT_MAX_BODY_BYTES=str(FORM), NEXGENT_BODY_SECONDS="3600")


@pytest.fixture(params=["daphne", "uvicorn"])
def impatient(request: pytest.FixtureRequest, transactional_db, shared_server: StartServer) -> Server:
    return shared_server(request.param, NEXGENT_BODY_SECONDS="2")


@contextmanager
def request(server: Server, path: str, *headers: str) -> Iterator[socket.socket]:
    """Send the head of a request."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as client:
        lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *headers, "", ""]
        client.sendall("\r\n".join(lines).encode())
        yield client


def answer(client: socket.socket) -> tuple[int, str, str]:
    """Return the status, the head and the body of what the server answers until it closes the connection."""
    received = b""
    while part := client.recv(65_536):
        received += part
    head, _, body = received.decode().partition("\r\n\r\n")
    return int(head.split(" ", 2)[1]), head.lower(), body


@pytest.mark.parametrize(("path", "limit"), [("/api/agents/", API), ("/admin/login/", FORM)])
def test_declared_length_over_the_limit_is_refused_without_reading(bounded: Server, path: str, limit: int):
    with request(bounded, path, f"Content-Length: {limit + 1}", "Expect: 100-continue") as client:
        status, head, body = answer(client)
    assert status == 413
    assert (json.loads(body)["detail"] if limit == API else body) == DETAIL[limit]
    assert "connection: close" in head
    assert "x-request-id: " in head  # as every answer


@pytest.mark.parametrize(("path", "limit"), [("/api/agents/", API), ("/admin/login/", FORM)])
def test_chunked_body_is_cut_off_at_the_limit(bounded: Server, path: str, limit: int):
    chunk = b"1000\r\n" + 4096 * b" " + b"\r\n"
    with request(bounded, path, "Transfer-Encoding: chunked") as client:
        for _ in range(limit // 4096 + 1):
            client.sendall(chunk)
        status, _, body = answer(client)  # it has no end yet
    assert status == 413
    assert DETAIL[limit] in body


def test_client_that_goes_on_sending_still_reads_its_answer(bounded: Server):
    with request(bounded, "/api/agents/", f"Content-Length: {50 * API}") as client:
        for _ in range(10):
            client.sendall(API * b" ")
        assert answer(client)[0] == 413


def test_slow_body_is_refused(impatient: Server):
    with request(impatient, "/api/agents/", "Content-Length: 10") as client:
        client.sendall(b"{")
        status, _, body = answer(client)
    assert (status, json.loads(body)) == (408, {"detail": "The body must arrive within 2 seconds."})


def test_body_that_its_client_leaves_unfinished_does_nothing(bounded: Server, alice):
    form = b'{"name": "alpha"}'
    token = f"Authorization: Bearer {access_token(alice)}"
    headers = [token, "Content-Type: application/json", f"Content-Length: {len(form) + 1}"]
    with request(bounded, "/api/agents/", *headers) as client:
        client.sendall(form)
    with request(bounded, "/api/agents/", token, "Connection: close", "Content-Length: 0") as client:
        assert answer(client)[0] == 400  # the server has gone on
    assert not alice.agents.exists()


def test_body_within_the_limit_is_read_whole(bounded: Server, alice):
    body = json.dumps({"name": "alpha"}).encode()
    body += (API - len(body)) * b" "
    headers = [
        f"Authorization: Bearer {access_token(alice)}",
        "Content-Type: application/json",
        "Connection: close",
    ]
    for length, parts in (
        (f"Content-Length: {API}", [body]),
        ("Transfer-Encoding: chunked", [b"10000\r\n", body, b"\r\n0\r\n\r\n"]),
    ):
        with request(bounded, "/api/agents/", *headers, length) as client:
            for part in parts:
                client.sendall(part)
            status, _, text = answer(client)
            assert status == 201, text


def test_control_characters_of_a_request_line_reach_no_log(bounded: Server):
    mark = secrets.token_hex(8)
    with request(bounded, f"/{mark}\x1b[2J?\x1b[31m", "Connection: close", "Content-Length: 0") as client:
        assert answer(client)[0] in {400, 404}
    with request(bounded, f"/{mark}/", "Connection: close", "Content-Length: 0") as client:
        assert answer(client)[0] == 404
    said = bounded.log.read_text()
    assert mark in said
    assert "\x1b" not in said
