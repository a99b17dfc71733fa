"""A socket without a server: Channels' communicator on this project's application, with messages as dicts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlencode

from asgiref.testing import ApplicationCommunicator
from channels.testing import WebsocketCommunicator

from realtime.paths import SOCKET, base
from realtime.socket.routing import websocket_application
from realtime.testing import PATIENCE_SECONDS
from realtime.testing.tokens import token_for

Message = dict[str, Any]


class SocketClosed(Exception):
    """The server has closed the socket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code} {reason}")
        self.code = code
        self.reason = reason


class Communicator(WebsocketCommunicator):  # type: ignore[misc]
    """Channels' own, with which queries return their connections as they do in a server.

    While Channels' own sends or waits, it replaces `channels.db.close_old_connections` by a function that does nothing.
    Two that wait at once put it back in the wrong order: from then on no connection was returned, and one that a thread
    had at its end was lost to the pool (channels 4.3.2).
    """

    async def send_input(self, message: Message) -> None:
        await ApplicationCommunicator.send_input(self, message)  # type: ignore[no-untyped-call]

    async def receive_output(self, timeout: float = 1) -> Message:  # noqa: ASYNC109  as Channels has it
        output = await ApplicationCommunicator.receive_output(self, timeout)  # type: ignore[no-untyped-call]
        return cast("Message", output)


class Socket:
    """One client. Every wait is bounded, and a failure shows what came instead. Fractions are `Decimal`.

    async for message in socket: …   # until the server closes it
    """

    def __init__(self, communicator: Communicator) -> None:
        self.communicator = communicator
        self.raw = ""
        """The text of the last message."""
        self.initial: dict[str, Any] = {}
        """The `data` of the first `initial_data`, where `open_socket` made this."""

    async def receive(self) -> Message:
        """Return the next message. Raises SocketClosed."""
        try:
            output = await self.communicator.receive_output(PATIENCE_SECONDS)
        except TimeoutError:
            raise AssertionError(f"no message came in {PATIENCE_SECONDS:g} s") from None
        if output["type"] == "websocket.close":
            raise SocketClosed(output.get("code", 1000), output.get("reason") or "")
        self.raw = output["text"]
        message: Message = json.loads(self.raw, parse_float=Decimal)
        return message

    async def expect(self, kind: str) -> Message:
        """Return the next message, which must be of this type. Raises SocketClosed."""
        message = await self.receive()
        if message["type"] != kind:
            raise AssertionError(f"expected {kind}, got {self.raw[:500]}")
        return message

    async def until(self, kind: str) -> Message:
        """Return the next message of this type, skipping others. Raises SocketClosed."""
        while (message := await self.receive())["type"] != kind:
            pass
        return message

    async def send(self, kind: str, **data: Any) -> None:
        """Send a message: `send("subscribe", agentId=…)`."""
        await self.communicator.send_to(json.dumps({"type": kind, **data}))

    async def closed(self) -> tuple[int, str, list[Message]]:
        """Wait for the server's close; return its code and reason, and the messages before it."""
        messages = []
        while True:
            try:
                messages.append(await self.receive())
            except SocketClosed as close:
                return close.code, close.reason, messages

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            try:
                message = await self.receive()
            except SocketClosed:
                return
            yield message


@asynccontextmanager
async def connect(*, application: Any = None, **query: Any) -> AsyncIterator[Socket]:
    """Connect with these parameters of the address: `connect(token="nonsense", agentId=agent.pk)`.

    application: the project's own, where it is more than `with_realtime` makes of it. At the end the client leaves.
    """
    path = f"{base()}{SOCKET}?{urlencode(query)}"
    communicator = Communicator(application or websocket_application(), path)
    communicator.scope["scheme"] = "wss"  # a project may redirect what is without TLS
    accepted, _ = await communicator.connect(PATIENCE_SECONDS)
    if not accepted:
        raise AssertionError(f"the handshake was refused at {base()}{SOCKET}")
    try:
        yield Socket(communicator)
    finally:
        if not communicator.future.done():  # as it is after a wait that timed out
            await communicator.disconnect(timeout=PATIENCE_SECONDS)


@asynccontextmanager
async def open_socket(
    user: Any, agent: Any, *, application: Any = None, **query: Any
) -> AsyncIterator[Socket]:
    """Connect this user to one of their agents, and pass the first two messages; `initial` is the second's data.

    `mode="watch"`, and other parameters of the address, as docs/protocol.md has them. Where the server refuses the
    user, an AssertionError shows its answer.
    """
    query = {"token": token_for(user), "agentId": str(agent.pk), **query}
    async with connect(application=application, **query) as socket:
        await socket.expect("connected")
        socket.initial = (await socket.expect("initial_data"))["data"]
        yield socket
