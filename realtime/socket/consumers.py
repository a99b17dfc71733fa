"""One socket as an ASGI application: authorises, answers requests, closes. stream_start.py starts its stream.

A Channels consumer without a channel of its own: the process's hub listens to the channel layer for all sockets, so
that an idle socket costs no task and no subscription, and a price batch is decoded once per process.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from positions.books.snapshots import timestamp
from realtime.conf import conf
from realtime.hub.disconnects import is_disconnect
from realtime.hub.guard import guarded
from realtime.hub.hub import Hub, get_hub
from realtime.hub.outbox import Outbox
from realtime.hub.shares import BYTES_PER_ROW, MESSAGE_COST, QUERY_COST, Share, refused
from realtime.monitoring import log_lines
from realtime.monitoring.metrics import counts
from realtime.protocol import compact, messages
from realtime.protocol.messages import (
    CloseReason,
    Connected,
    ConnectedData,
    ErrorCode,
    Refreshed,
    RefreshedData,
)
from realtime.protocol.requests import (
    TYPES,
    Malformed,
    PingRequest,
    RefreshRequest,
    SubscribeRequest,
    check_mode,
    parse,
    parse_agent_id,
    parse_last_seq,
)
from realtime.socket.admission import admit
from realtime.socket.authentication import authenticate, query
from realtime.socket.client_address import peer_of
from realtime.socket.connection import Connection
from realtime.socket.new_outbox import new_outbox
from realtime.socket.stream_start import StreamStart
from realtime.socket.timers import Timers

logger = logging.getLogger(__name__)
T = TypeVar("T")

TOKEN_REFUSED = "the token is malformed, expired, revoked, not an access token, or belongs to another user"  # noqa: S105


REFUSED_SECONDS = 2.0
"""How long a client that was refused has to answer its close: meanwhile it holds a place, and may be hostile."""


class PositionConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Serves one agent's positions to one client, as specified in docs/protocol.md."""

    channel_layer_alias = None  # the hub listens instead
    _is_served = False

    hub: Hub
    outbox: Outbox
    stream: StreamStart
    timers: Timers

    def __init__(self) -> None:
        super().__init__()
        self.connection_id = uuid.uuid4().hex
        self._began = time.monotonic()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve a connection as Channels does, but without a second task: messages come from the server only.

        An idle socket takes 33.1 kB of memory instead of 36.7 (`make bench`, memory; uvicorn).
        """
        if "connection" not in scope:  # mounted without GracefulShutdown
            with Connection(scope, receive, send) as connection:
                await self({**scope, "connection": connection}, connection.receive, connection.send)
            return
        self.scope, self.base_send = scope, send
        self.hub = get_hub()
        self._sent = query(scope)
        self.outbox = new_outbox(
            self.hub,
            scope["connection"],
            send,
            agent_id=self._sent.get("agentId"),
            on_lost=self._lost,
            on_close=self._leave,
        )
        self.timers = Timers(self.outbox)
        self.stream = StreamStart(self.hub, self.outbox, scope["connection"])
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            return
        except asyncio.CancelledError:  # by daphne, if a query takes 10 s longer than its client stays
            await self.disconnect(1006)
            raise
        finally:
            if self.outbox.closed:
                self.outbox.forget()

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Channels closes old database connections before every message, on the process's one shared thread: 115 to
        # 250 µs (channels 4.3.2, 2 cores). Here queries have threads of their own, which close them (hub/database.py).
        handler = getattr(self, get_handler_name(message))
        if message["type"] == "websocket.disconnect":
            await self.hub.turns.piece()  # thousands may leave at once, too
            await handler(message)  # raises StopConsumer
        else:
            await guarded(self.outbox, handler(message))

    # Connecting

    async def connect(self) -> None:
        counts.connects += 1
        log_lines.connection_id.set(self.connection_id)
        try:
            subprotocol = compact.choose(self.scope.get("subprotocols", ()))
            if subprotocol is not None:
                self.outbox.price_keys = self.hub.fan_out.keys
            await self.accept(subprotocol)
        except Exception as error:
            if not is_disconnect(error):
                raise
            self.outbox.abandon()  # its disconnect follows
            return
        sent, self._sent = self._sent, {}  # it has the token
        expires_at = await admit(self.hub, self.outbox, self.scope, sent)
        await self.hub.turns.piece()
        self.timers.start(expires_at)
        self._greet(expires_at, await self.hub.epochs.known())
        self._checked(check_mode, sent.get("mode"))
        await self.stream.connect(self._checked(parse_last_seq, sent.get("lastSeq")), sent.get("epoch"))

    def _greet(self, expires_at: datetime, epoch: str) -> None:
        self._is_served = True
        logger.info(
            "socket opened",
            extra={
                "agent_id": self.outbox.agent_id,
                "user_id": str(self.outbox.user_id),
                "peer": peer_of(self.scope),
            },
        )
        data = ConnectedData(
            agent_id=self.outbox.agent_id,
            timestamp=messages.now(),
            connection_id=self.connection_id,
            ping_interval=round(1000 * conf.PING_INTERVAL_SECONDS),
            token_expires_at=timestamp(expires_at),
            epoch=epoch,
            mode="watch" if self.outbox.watches else "own",
        )
        self._write(Connected(data))

    def _checked(self, check: Callable[[str | None], T], text: str | None) -> T | None:
        """Return what `check` makes of a part of the query; None, after an `error` to the client, if that is wrong."""
        try:
            return check(text)
        except Malformed as problem:
            self.outbox.write(messages.error(problem.code, problem.message))
            return None

    def _lost(self, outbox: Outbox) -> None:
        self.hub.spawn(guarded(outbox, self.stream.start_over()))

    # Requests

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.outbox.closed:
            return
        self.timers.note_message()
        size_bytes = len(text_data.encode() if text_data is not None else bytes_data or b"")
        if size_bytes > conf.MAX_MESSAGE_BYTES:
            await self.websocket_too_big({})
        elif not self.scope["connection"].inbound.take(time.monotonic()):
            await self.websocket_too_many({})
        elif text_data is None:
            self.outbox.write(messages.error(ErrorCode.BINARY_FRAME, "messages must be text frames"))
        else:
            await self._answer(text_data)

    async def websocket_too_big(self, message: dict[str, Any]) -> None:
        """Refuse a message that is too long; daphne sends this in its place (realtime/servers/daphne.py)."""
        limit: int = conf.MAX_MESSAGE_BYTES
        self.outbox.refuse(CloseReason.TOO_BIG, ErrorCode.TOO_BIG, messages.too_big(limit))

    async def websocket_too_many(self, message: dict[str, Any]) -> None:
        """Refuse a client that sends too much; the servers send this for frames that are no messages."""
        if not self.outbox.closed:
            self.scope["connection"].ignore_client()
            raise refused("messages", "too many messages", CloseReason.RATE_LIMITED)

    @property
    def _share(self) -> Share:
        return self.hub.shares.of(self.outbox.user_id)

    async def _answer(self, text: str) -> None:
        """Answer a message once its user may cause more work: until then, no further one is taken from the client."""
        self._share.spend(MESSAGE_COST + len(text) // BYTES_PER_ROW)
        await self._share.wait()
        try:
            request = parse(text)
        except Malformed as problem:
            counts.received["malformed"] += 1
            self.outbox.write(messages.error(problem.code, problem.message))
            return
        counts.received[TYPES[type(request)]] += 1
        if isinstance(request, PingRequest):
            self._write(messages.Pong(messages.now()))
        elif isinstance(request, SubscribeRequest):
            self._share.spend(QUERY_COST)
            await self.stream.subscribe(parse_agent_id(request.agent_id), request.last_seq, request.epoch)
        elif isinstance(request, RefreshRequest):
            self._share.spend(QUERY_COST)
            await self._refresh(request)

    async def _refresh(self, request: RefreshRequest) -> None:
        """Extend the connection to the expiry of a new token of the same user."""
        user, expires_at, family_id, read_only, _, problem, _ = await authenticate(request.token)
        if self.outbox.closed:  # during the query
            return
        if expires_at is None or user is None or user.pk != self.outbox.user_id:
            self.outbox.write(messages.error(ErrorCode.TOKEN_REFUSED, problem or TOKEN_REFUSED))
            return
        self.outbox.family_id, self.outbox.read_only = family_id, read_only
        self.timers.expire_at(expires_at)
        self._write(Refreshed(RefreshedData(timestamp(expires_at))))

    # Close

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """End, without the turn on the shared thread that Channels takes for database connections: see `dispatch`."""
        await self.disconnect(message["code"])
        raise StopConsumer

    async def disconnect(self, code: int) -> None:
        ended_by_us = (
            CloseReason.SHUTDOWN.value if self.scope["connection"].is_leaving() else self.outbox.closed
        )
        ended_with, reason = counts.close(ended_by_us, code)
        logger.info(
            "socket closed",
            extra={
                "agent_id": self.outbox.agent_id,
                "peer": peer_of(self.scope),
                "code": ended_with,
                "reason": reason,
                "seconds": round(time.monotonic() - self._began, 1),
            },
        )
        self.outbox.abandon()
        self.hub.leave(self.outbox)
        self.hub.shares.dismiss(self.outbox)
        self.timers.cancel()

    def _leave(self, outbox: Outbox) -> None:
        """Stop the timers, leave the hub, and cut the client off if it does not read its close in time."""
        seconds = conf.CLOSE_SECONDS if self._is_served else min(REFUSED_SECONDS, conf.CLOSE_SECONDS)
        self.timers.start_closing(self.scope["connection"].cut_off, seconds)
        self.hub.leave(outbox)

    def _write(self, message: Any) -> None:
        self.outbox.write(messages.encode(message))
