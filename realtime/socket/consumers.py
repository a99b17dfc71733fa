"""One socket as an ASGI application: authorises, answers requests, closes. stream_start.py starts its stream.

A Channels consumer without a channel of its own: the process's hub listens to the channel layer for all sockets, so
that an idle socket costs no task and no subscription, and a price batch is decoded once per process.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from datetime import datetime
from typing import Any

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from positions.books.snapshots import timestamp
from realtime.hub.disconnects import is_disconnect
from realtime.hub.guard import DATABASE_UNAVAILABLE, Refused, guarded
from realtime.hub.hub import Hub, get_hub
from realtime.hub.outbox import Outbox
from realtime.hub.queries import may_watch
from realtime.hub.token_bucket import TokenBucket
from realtime.monitoring import log_lines
from realtime.monitoring.metrics import counts
from realtime.protocol import messages
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
    parse,
    parse_agent_id,
    parse_last_seq,
)
from realtime.socket.authentication import authenticate, credential_of, query
from realtime.socket.connection import Connection
from realtime.socket.stream_start import AGENT_NOT_FOUND, StreamStart
from realtime.socket.timers import Timers

logger = logging.getLogger(__name__)

NOT_AUTHENTICATED = "the token is missing, malformed, expired or not an access token, or its user is inactive"
TOKEN_REFUSED = "the token is malformed, expired, not an access token, or belongs to another user"  # noqa: S105


class PositionConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Serves one agent's positions to one client, as specified in docs/protocol.md."""

    channel_layer_alias = None  # the hub listens instead

    hub: Hub
    outbox: Outbox
    stream: StreamStart
    timers: Timers

    def __init__(self) -> None:
        super().__init__()
        self.connection_id = uuid.uuid4().hex
        self._began = time.monotonic()
        self._inbound = TokenBucket(
            settings.REALTIME["INBOUND_MESSAGES_PER_SECOND"], settings.REALTIME["INBOUND_BURST"]
        )

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
        self.outbox = self._new_outbox()
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

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Channels closes old database connections before every message, on the process's one shared thread: 115 to
        # 250 µs (channels 4.3.2, 2 cores). Here queries have threads of their own, which close them (hub/database.py).
        handler = getattr(self, get_handler_name(message))
        if message["type"] == "websocket.disconnect":
            await handler(message)  # raises StopConsumer
        else:
            await guarded(self.outbox, handler(message))

    # Connecting

    async def connect(self) -> None:
        counts.connects += 1
        log_lines.connection_id.set(self.connection_id)
        try:
            await self.accept()
        except Exception as error:
            if not is_disconnect(error):
                raise
            self.outbox.abandon()  # its disconnect follows
            return
        expires_at = await self._authorise()
        self.timers.start(expires_at)
        self._greet(expires_at)
        await self.stream.connect(self._last_seq())

    async def _authorise(self) -> datetime:
        """Return when the token expires. Raises Refused if the client may not watch the agent."""
        user, expires_at, _, error = credential_of(self.scope)
        if not self.hub.admit(self.outbox):
            raise Refused(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, "the server is at capacity")
        if error is not None:
            raise error
        if user is None:
            raise Refused(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, DATABASE_UNAVAILABLE)
        if expires_at is None or not user.is_authenticated:
            raise Refused(
                CloseReason.AUTHENTICATION_FAILED, ErrorCode.AUTHENTICATION_FAILED, NOT_AUTHENTICATED
            )
        agent_id = parse_agent_id(self.outbox.agent_id)
        if agent_id is None or not await may_watch(user.pk, agent_id):
            raise Refused(CloseReason.AGENT_NOT_FOUND, ErrorCode.AGENT_NOT_FOUND, AGENT_NOT_FOUND)
        return expires_at

    def _greet(self, expires_at: datetime) -> None:
        logger.info(
            "socket opened",
            extra={"agent_id": self.outbox.agent_id, "user_id": str(self.outbox.user_id)},
        )
        data = ConnectedData(
            agent_id=self.outbox.agent_id,
            timestamp=messages.now(),
            connection_id=self.connection_id,
            ping_interval=round(1000 * settings.REALTIME["PING_INTERVAL_SECONDS"]),
            token_expires_at=timestamp(expires_at),
        )
        self._write(Connected(data))

    def _last_seq(self) -> int | None:
        """Return the query's `lastSeq`; None, after an `error` to the client, if it is not a number."""
        try:
            return parse_last_seq(query(self.scope).get("lastSeq"))
        except Malformed as problem:
            self.outbox.write(messages.error(problem.code, problem.message))
            return None

    def _new_outbox(self) -> Outbox:
        credential = credential_of(self.scope)
        agent_id = parse_agent_id(query(self.scope).get("agentId"))
        outbox = Outbox(
            self.base_send,
            self.scope["connection"].write_now,
            user_id=getattr(credential.user, "pk", None),
            agent_id=str(agent_id or ""),
            index=self.hub.index,
            max_unsent=settings.REALTIME["MAX_UNSENT_EVENTS"],
            retry_after_seconds=settings.REALTIME["RETRY_AFTER_SECONDS"],
            on_gap=self.hub.events.catch_up,
            on_lost=self._lost,
            on_close=self._leave,
            on_new_token=self.hub.fan_out.send_newest,
        )
        outbox.session_id = credential.session_id
        return outbox

    def _lost(self, outbox: Outbox) -> None:
        self.hub.spawn(guarded(outbox, self.stream.start_over()))

    # Requests

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.outbox.closed:
            return
        self.timers.note_message()
        size_bytes = len(text_data.encode() if text_data is not None else bytes_data or b"")
        if size_bytes > settings.REALTIME["MAX_MESSAGE_BYTES"]:
            await self.websocket_too_big({})
        elif not self._inbound.take(time.monotonic()):
            self.outbox.refuse(CloseReason.RATE_LIMITED, ErrorCode.RATE_LIMITED, "too many messages")
        elif text_data is None:
            self.outbox.write(messages.error(ErrorCode.BINARY_FRAME, "messages must be text frames"))
        else:
            await self._answer(text_data)

    async def websocket_too_big(self, message: dict[str, Any]) -> None:
        """Refuse a message that is too long; daphne sends this in its place (realtime/servers/daphne.py)."""
        limit: int = settings.REALTIME["MAX_MESSAGE_BYTES"]
        self.outbox.refuse(CloseReason.TOO_BIG, ErrorCode.TOO_BIG, messages.too_big(limit))

    async def _answer(self, text: str) -> None:
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
            await self.stream.subscribe(parse_agent_id(request.agent_id), request.last_seq)
        elif isinstance(request, RefreshRequest):
            await self._refresh(request)

    async def _refresh(self, request: RefreshRequest) -> None:
        """Extend the connection to the expiry of a new token of the same user."""
        user, expires_at, session_id, _ = await authenticate(request.token)
        if self.outbox.closed:  # during the query
            return
        if expires_at is None or user is None or user.pk != self.outbox.user_id:
            self.outbox.write(messages.error(ErrorCode.TOKEN_REFUSED, TOKEN_REFUSED))
            return
        self.outbox.session_id = session_id
        self.timers.expire_at(expires_at)
        self._write(Refreshed(RefreshedData(timestamp(expires_at))))

    # Close

    async def disconnect(self, code: int) -> None:
        ended_by_us = (
            CloseReason.SHUTDOWN.value if self.scope["connection"].is_leaving() else self.outbox.closed
        )
        ended_with, reason = counts.close(ended_by_us, code)
        logger.info(
            "socket closed",
            extra={
                "agent_id": self.outbox.agent_id,
                "code": ended_with,
                "reason": reason,
                "seconds": round(time.monotonic() - self._began, 1),
            },
        )
        self.outbox.abandon()
        self.hub.leave(self.outbox)
        self.hub.dismiss(self.outbox)
        self.timers.cancel()

    def _leave(self, outbox: Outbox) -> None:
        """Stop the timers, leave the hub, and cut the client off if it does not read its close in time."""
        self.timers.start_closing(self.scope["connection"].cut_off)
        self.hub.leave(outbox)

    def _write(self, message: Any) -> None:
        self.outbox.write(messages.encode(message))
