"""Before there is a request: what is too large, malformed, late or silent is answered and closed, on both servers."""

from __future__ import annotations

import signal

import psutil  # type: ignore[import-untyped]
import pytest

from tests.live import Server, StartServer, access_token
from tests.raw_http import Exchange, handshake, head
from tests.waiting import until

KIB = 1024
BRISK, PATIENT = {"NEXGENT_HEAD_SECONDS": "1"}, {"NEXGENT_HEAD_SECONDS": "3600"}
LATE = b"The head of a request must arrive within 1 seconds."


@pytest.fixture(params=["daphne", "uvicorn"])
def brisk(request: pytest.FixtureRequest, transactional_db, shared_server: StartServer) -> Server:
    return shared_server(request.param, **BRISK)


@pytest.fixture(params=["daphne", "uvicorn"])
def patient(request: pytest.FixtureRequest, transactional_db, shared_server: StartServer) -> Server:
    return shared_server(request.param, **PATIENT)


def already_sent(server: Server, *data: bytes) -> Exchange:
    """Connect, and send this before the server sees the connection: its time begins later."""
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    process.suspend()
    try:
        until(lambda: process.status() == psutil.STATUS_STOPPED, "the server stands still")
        return Exchange(server, *data)
    finally:
        process.resume()


def headers(count: int) -> list[str]:
    return [f"X-Number-{number}: 1" for number in range(count)]


TOO_LARGE = {
    "a line of a handshake over 8 KiB": (handshake("/ws", f"X-Long: {8 * KIB * 'x'}"), 431),
    "a line of a handshake over 16 KiB": (handshake("/ws", f"X-Long: {17 * KIB * 'x'}"), 431),
    "a line of a handshake over 64 KiB": (handshake("/ws", f"X-Long: {70 * KIB * 'x'}"), 431),
    "more than 128 headers in a handshake": (handshake("/ws", *headers(124)), 431),
    "more than 500 headers in a handshake": (handshake("/ws", *headers(600)), (400, 431)),
    "a target of a handshake over 8 KiB": (handshake(f"/ws?token={8 * KIB * 'x'}"), 414),
    "a line over 64 KiB that does not end": (b"GET / HTTP/1.1\r\nX-Long: " + 100 * KIB * b"x", (400, 431)),
    "a handshake with a body": (handshake("/ws", "Content-Length: 5") + b"12345", 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_head_that_is_too_large_or_malformed_is_answered_and_closed(patient: Server, case: str):
    sent, status = TOO_LARGE[case]
    with Exchange(patient, sent) as exchange:
        answer = exchange.rest()
    assert int(answer.split(b" ", 2)[1]) in (status if isinstance(status, tuple) else (status,)), answer


def test_handshake_just_below_the_limits_is_accepted(patient: Server, alice, agent):
    query = f"token={access_token(alice)}&agentId={agent.pk}"
    for more in ([f"X-Long: {(8 * KIB - 12) * 'x'}"], headers(123)):
        with Exchange(patient, handshake(f"/ws?{query}", *more)) as exchange:
            assert b"initial_data" in exchange.until(b"initial_data")


UNFINISHED = {
    "nothing": (b"", b""),
    "half a line": (b"GET /health/li", LATE),
    "half a head": (head("/health/live")[:-2], LATE),
    "half a handshake": (handshake("/ws")[:-4], LATE),
}


@pytest.mark.parametrize("case", UNFINISHED)
def test_connection_without_a_whole_head_is_closed(brisk: Server, case: str):
    sent, ending = UNFINISHED[case]
    with already_sent(brisk, sent) as exchange:
        answer = exchange.rest()
    assert answer.endswith(ending)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n" if ending else b"")


def test_head_that_comes_byte_by_byte_has_no_more_time(brisk: Server):
    """The last byte that is sent before the answer would restart a time-out that counts from each byte."""
    with Exchange(brisk) as exchange:
        exchange.socket.settimeout(0.2)
        received, sent = b"", iter(head("/health/live", f"X-Long: {4 * KIB * 'x'}"))
        while not received:
            exchange.socket.sendall(bytes([next(sent)]))
            try:
                received = exchange.socket.recv(KIB)
            except TimeoutError:
                continue
    assert received.startswith(b"HTTP/1.1 408 ")


def test_connection_is_closed_when_no_next_request_comes(brisk: Server):
    request = head("/health/live")
    with already_sent(brisk, 3 * request) as exchange:
        assert exchange.rest().count(b"200 OK") == 3
    with already_sent(brisk, request + request[:20]) as exchange:
        answer = exchange.rest()
    assert answer.count(b"200 OK") == 1
    assert answer.endswith(LATE)


def test_next_request_of_a_connection_may_come_once_the_one_before_is_answered(patient: Server):
    request = head("/health/live")
    with Exchange(patient, request) as exchange:
        for _ in range(2):
            assert b"200 OK" in exchange.until(b"}")
            exchange.socket.sendall(request)
        assert b"200 OK" in exchange.until(b"}")


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_server_ends_as_ever_after_handshakes_that_failed(kind, transactional_db, tmp_path):
    with Server(kind, log=tmp_path / "log", **BRISK) as server:
        for case, _ in TOO_LARGE.values():
            with Exchange(server, case) as exchange:
                exchange.rest()
        with Exchange(server, handshake("/ws")[:-4]):
            code = server.stop()
    assert code == (0 if kind == "daphne" else -signal.SIGTERM)
    assert "Traceback" not in server.log.read_text(), server.log.read_text()
