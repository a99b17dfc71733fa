"""One socket's life: authorise, join, snapshot, forward, leave.

A Channels consumer without a channel of its own: the process's hub hears the channel layer for all sockets, so that
an idle socket costs no task and no subscription, and a price batch is decoded once a process.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from positions.books.snapshots import timestamp
from positions.valkey import Unavailable
from realtime.hub import database
from realtime.hub.hub import Hub, get_hub
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import NotJoined
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
    Subscribed,
    SubscribedData,
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
from realtime.socket.authentication import authenticate, query
from realtime.socket.stream_start import NoSuchAgent, begin

logger = logging.getLogger(__name__)

NOT_AUTHENTICATED = "the token is missing, malformed, expired, no access token, or its user is not active"
DATABASE_AWAY = "positions cannot be read right now"
NOT_YOURS = "no such agent among yours"
SOMETHING_WENT_WRONG = "something went wrong on the server"


class PositionConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Serves one agent's positions to one client, as docs/protocol.md says."""

    channel_layer_alias = None  # the hub listens

    hub: Hub
    outbox: Outbox
    token_expires_at: datetime
    _last_heard: float
    _ping: asyncio.TimerHandle | None = None
    _expiry: asyncio.TimerHandle | None = None
    _patience: asyncio.TimerHandle | None = None

    def __init__(self) -> None:
        super().__init__()
        self.connection_id = uuid.uuid4().hex
        self._began = time.monotonic()
        self._entering = asyncio.Lock()  # one change of the stream's beginning at a time
        self._inbound = TokenBucket(
            settings.REALTIME["INBOUND_MESSAGES_PER_SECOND"], settings.REALTIME["INBOUND_BURST"]
        )

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve a connection: Channels' own way, without a task that waits for each message, since there is only one
        source of them: an idle socket takes 33.1 kB of memory instead of 36.7 (`make bench`, memory; uvicorn).
        """
        self.scope, self.base_send = scope, send
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            return

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Channels closes old database connections before every message, on the process's one shared thread: 115 to
        # 250 µs (channels 4.3.2, 2 cores). Ours are asked for, and closed, on threads of their own.
        try:
            await getattr(self, get_handler_name(message))(message)
        except (StopConsumer, asyncio.CancelledError):
            raise
        except database.Unavailable as error:
            logger.warning("agent %s: the database is away: %s", self.outbox.agent_id, error)
            self._refuse(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, DATABASE_AWAY)
        except Exception:
            logger.exception("agent %s: a socket failed", self.outbox.agent_id)
            self._refuse(CloseReason.INTERNAL_ERROR, ErrorCode.INTERNAL_ERROR, SOMETHING_WENT_WRONG)

    # Coming

    async def connect(self) -> None:
        counts.connects += 1
        log_lines.connection_id.set(self.connection_id)
        parameters = query(self.scope)
        agent_id = parse_agent_id(parameters.get("agentId"))
        self.hub = get_hub()
        self.outbox = self._new_outbox(str(agent_id or ""))
        try:
            await self.accept()
        except OSError:  # the client is gone already; its disconnect follows
            self.outbox.abandon()
            return
        user, self.token_expires_at = self.scope["user"], self.scope["token_expires_at"]
        if not self.hub.admit(self.outbox):
            self._refuse(
                CloseReason.TRY_LATER, ErrorCode.TRY_LATER, "this server takes no more sockets right now"
            )
        elif user is None:
            self._refuse(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, DATABASE_AWAY)
        elif not user.is_authenticated:
            self._refuse(
                CloseReason.AUTHENTICATION_FAILED, ErrorCode.AUTHENTICATION_FAILED, NOT_AUTHENTICATED
            )
        elif agent_id is None or not await may_watch(user.pk, agent_id):
            self._refuse(CloseReason.AGENT_NOT_FOUND, ErrorCode.AGENT_NOT_FOUND, NOT_YOURS)
        else:
            await self._serve(parameters.get("lastSeq"))

    async def _serve(self, last_seq_text: str | None) -> None:
        self._start_timers()
        logger.info(
            "a socket has begun",
            extra={"agent_id": self.outbox.agent_id, "user_id": str(self.outbox.user_id)},
        )
        data = ConnectedData(
            agent_id=self.outbox.agent_id,
            timestamp=messages.now(),
            connection_id=self.connection_id,
            ping_interval=round(1000 * settings.REALTIME["PING_INTERVAL_SECONDS"]),
            token_expires_at=timestamp(self.token_expires_at),
        )
        self._write(Connected(data))
        try:
            last_seq = parse_last_seq(last_seq_text)
        except Malformed as problem:
            self.outbox.write(messages.error(problem.code, problem.message))
            last_seq = None
        async with self._entering:
            await self._enter(last_seq, acknowledge=last_seq is not None)

    def _new_outbox(self, agent_id: str) -> Outbox:
        outbox = Outbox(
            self.base_send,
            self.scope["connection"].write_now,
            user_id=getattr(self.scope["user"], "pk", None),
            agent_id=agent_id,
            index=self.hub.index,
            max_unsent=settings.REALTIME["MAX_UNSENT_EVENTS"],
            retry_after_seconds=settings.REALTIME["RETRY_AFTER_SECONDS"],
            on_gap=self.hub.events.catch_up,
            on_lost=self._lost,
            on_close=self._leave,
        )
        outbox.session_id = self.scope["session_id"]
        return outbox

    async def _enter(self, last_seq: int | None, *, acknowledge: bool) -> None:
        """Join, then read, then let the stream follow: in this order, nothing falls between."""
        if self.scope["connection"].is_gone():
            # Its client did not wait for a slow database, and may be back: this one must not replace that one.
            self.outbox.abandon()
            return
        try:
            await self.hub.join(self.outbox)
        except (NotJoined, TimeoutError, *Unavailable) as error:
            counts.channel_layer_errors["join"] += 1
            logger.warning(
                "agent %s: a socket could not join: %s", self.outbox.agent_id, error or type(error).__name__
            )
            self._refuse(
                CloseReason.TRY_LATER, ErrorCode.TRY_LATER, "live messages cannot be delivered right now"
            )
            return
        await self._begin(last_seq, acknowledge=acknowledge)

    async def _begin(self, last_seq: int | None, *, acknowledge: bool) -> None:
        try:
            await begin(self.hub, self.outbox, last_seq, acknowledge=acknowledge)
        except NoSuchAgent:
            self._refuse(CloseReason.AGENT_NOT_FOUND, ErrorCode.AGENT_NOT_FOUND, NOT_YOURS)

    def _lost(self, outbox: Outbox) -> None:
        self.hub.spawn(self._start_over())

    async def _start_over(self) -> None:
        try:
            async with self._entering:
                await self._begin(None, acknowledge=False)
        except Exception:
            logger.exception("agent %s: a socket failed", self.outbox.agent_id)
            self._refuse(CloseReason.INTERNAL_ERROR, ErrorCode.INTERNAL_ERROR, SOMETHING_WENT_WRONG)

    # What the client says

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.outbox.closed:
            return
        self._last_heard = time.monotonic()
        size_bytes = len(text_data.encode() if text_data is not None else bytes_data or b"")
        if size_bytes > settings.REALTIME["MAX_MESSAGE_BYTES"]:
            await self.websocket_too_big({})
        elif not self._inbound.take(time.monotonic()):
            self._refuse(CloseReason.RATE_LIMITED, ErrorCode.RATE_LIMITED, "too many messages")
        elif text_data is None:
            self.outbox.write(messages.error(ErrorCode.BINARY_FRAME, "messages are text frames"))
        else:
            await self._answer(text_data)

    async def websocket_too_big(self, message: dict[str, Any]) -> None:
        """Refuse a message that is too long; daphne says so without handing it over (realtime/servers/daphne.py)."""
        limit: int = settings.REALTIME["MAX_MESSAGE_BYTES"]
        self._refuse(CloseReason.TOO_BIG, ErrorCode.TOO_BIG, f"a message may have {limit} bytes at most")

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
            async with self._entering:
                await self._subscribe(request)
        elif isinstance(request, RefreshRequest):
            await self._refresh(request)

    async def _subscribe(self, request: SubscribeRequest) -> None:
        outbox, agent_id = self.outbox, parse_agent_id(request.agent_id)
        if agent_id is None or not await may_watch(self.scope["user"].pk, agent_id):
            outbox.write(messages.error(ErrorCode.AGENT_NOT_FOUND, NOT_YOURS))
        elif str(agent_id) != outbox.agent_id:
            self.hub.leave(outbox)
            outbox.hold_back()
            outbox.agent_id = str(agent_id)
            await self._enter(request.last_seq, acknowledge=True)
        elif request.last_seq is None and outbox.seq is not None:
            self._write(Subscribed(SubscribedData(outbox.agent_id, outbox.seq, recovered=True)))
        else:
            outbox.hold_back()
            await self._begin(request.last_seq, acknowledge=True)

    async def _refresh(self, request: RefreshRequest) -> None:
        """Let the connection last as long as a new token of the same user."""
        user, expires_at, session_id = await authenticate(request.token)
        if expires_at is None or user is None or user.pk != self.scope["user"].pk:
            message = "the token is malformed, expired, no access token, or not this user's"
            self.outbox.write(messages.error(ErrorCode.TOKEN_REFUSED, message))
            return
        self.token_expires_at = expires_at
        self.outbox.session_id = session_id
        self._await_expiry()
        self._write(Refreshed(RefreshedData(timestamp(expires_at))))

    # Signs of life

    def _start_timers(self) -> None:
        loop = asyncio.get_running_loop()
        self._last_heard = time.monotonic()
        self._ping = loop.call_later(settings.REALTIME["PING_INTERVAL_SECONDS"], self._check_alive)
        self._await_expiry()

    def _await_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        remaining = (self.token_expires_at - datetime.now(UTC)).total_seconds()
        self._expiry = asyncio.get_running_loop().call_later(max(0.0, remaining), self._expire)

    def _check_alive(self) -> None:
        interval: float = settings.REALTIME["PING_INTERVAL_SECONDS"]
        silent_seconds = time.monotonic() - self._last_heard
        if silent_seconds >= settings.REALTIME["DEAD_AFTER_SECONDS"]:
            self.outbox.close(CloseReason.TIMEOUT)
            return
        wait = min(interval, max(0.01, settings.REALTIME["DEAD_AFTER_SECONDS"] - silent_seconds))
        self._ping = asyncio.get_running_loop().call_later(wait, self._check_alive)
        self._write(messages.Ping(messages.now()))

    def _expire(self) -> None:
        self._refuse(CloseReason.TOKEN_EXPIRED, ErrorCode.TOKEN_EXPIRED, "the access token has expired")

    # Going

    async def disconnect(self, code: int) -> None:
        ended_by_us = (
            CloseReason.SHUTDOWN.value if self.scope["connection"].is_leaving() else self.outbox.closed
        )
        ended_with, reason = counts.close(ended_by_us, code)
        logger.info(
            "a socket has ended",
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
        self._cancel_timers()

    def _leave(self, outbox: Outbox) -> None:
        """Stop the timers, leave the hub; a client that does not take its close in time is cut off."""
        self._cancel_timers()
        self.hub.leave(outbox)
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(settings.REALTIME["CLOSE_SECONDS"], self.scope["connection"].cut_off)

    def _cancel_timers(self) -> None:
        for timer in (self._ping, self._expiry, self._patience):
            if timer is not None:
                timer.cancel()

    def _refuse(self, reason: CloseReason, code: ErrorCode, message: str) -> None:
        """Say what is wrong, announce the close, close."""
        self.outbox.write(messages.error(code, message))
        self.outbox.close(reason)

    def _write(self, message: Any) -> None:
        self.outbox.write(messages.encode(message))
