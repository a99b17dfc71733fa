"""A process that ends closes its sockets one after the other, and serves those whose turn has not come."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from realtime.conf import conf
from realtime.servers import shutdown
from realtime.servers.shutdown import GracefulShutdown
from realtime.socket import connection
from testbed.processes import PATIENCE_SECONDS

RETRY_SECONDS: float = conf.RETRY_AFTER_SECONDS


class Client:
    """One socket, as its server would hand it to the application."""

    def __init__(self, application: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed = asyncio.Event()
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_server.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(application({"type": "websocket"}, self._to_server.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["type"] == "websocket.close":
            self.closed.set()
            self.say("websocket.disconnect", code=message["code"])

    def say(self, kind: str, **content: Any) -> None:
        self._to_server.put_nowait({"type": kind, **content})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        is_new = message["type"] == "websocket.connect"
        await send({"type": "websocket.accept"} if is_new else {"type": "websocket.send", "text": "echo"})


@pytest.fixture
async def application(monkeypatch):
    """What its server does at the end is nothing here; nobody is too late, however slow the machine is."""
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 3600.0)
    monkeypatch.setattr(shutdown, "LAST_SECONDS", 3600.0)
    before = {number: signal.getsignal(number) for number in shutdown.SIGNALS}
    signal.signal(signal.SIGTERM, lambda *_: None)
    wrapped = GracefulShutdown(echo)
    yield wrapped
    for number, handler in before.items():
        signal.signal(number, handler)


async def turns(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  several things at once
            await asyncio.sleep(0)


async def test_sockets_are_closed_in_turn_and_served_until_then(application, monkeypatch, settings):
    monkeypatch.setattr(shutdown, "LEAST_CLOSES_PER_SECOND", 0.0001)
    settings.NEXGENT = {**settings.NEXGENT, "DRAIN_SECONDS": 3600.0}
    clients = [Client(application) for _ in range(2)]
    await turns(lambda: all(client.sent for client in clients))
    signal.raise_signal(signal.SIGTERM)
    await turns(lambda: any(client.task.done() for client in clients))
    first, second = sorted(clients, key=lambda client: not client.task.done())
    assert [message["type"] for message in first.sent] == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]
    closing = json.loads(first.sent[1]["text"])["data"]
    assert (closing["code"], closing["reason"]) == (1000, "Server shutdown")
    assert 0.5 * RETRY_SECONDS <= closing["retryAfter"] / 1000 - 3600 <= 1.5 * RETRY_SECONDS
    second.say("websocket.receive", text="still there?")
    await turns(lambda: second.sent[1:])
    assert second.sent[1:] == [{"type": "websocket.send", "text": "echo"}]
    newcomer = Client(application)
    await newcomer.task
    assert [message["type"] for message in newcomer.sent] == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]
    application._draining.cancel()
    second.say("websocket.disconnect", code=1005)
    await asyncio.wait([second.task, application._draining])


async def test_a_few_sockets_do_not_wait_for_one_another(application, settings):
    settings.NEXGENT = {**settings.NEXGENT, "DRAIN_SECONDS": 3600.0}
    clients = [Client(application) for _ in range(3)]
    await turns(lambda: all(client.sent for client in clients))
    signal.raise_signal(signal.SIGTERM)
    await asyncio.gather(*(client.task for client in clients))
    assert [client.sent[-1]["type"] for client in clients] == 3 * ["websocket.close"]
