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

from positions.snapshots import live, timestamp
from positions.valkey import Unavailable
from realtime import protocol
from realtime.authentication import query
from realtime.delivery import Delivery
from realtime.hub import Hub, NotJoined, get_hub
from realtime.limits import TokenBucket
from realtime.protocol import (
    CloseReason,
    Connected,
    ConnectedData,
    ErrorCode,
    InitialData,
    InitialDataData,
    Malformed,
    PingRequest,
    Subscribed,
    SubscribedData,
    SubscribeRequest,
    parse_agent_id,
)
from realtime.storage import Holdings, holdings, may_watch

logger = logging.getLogger(__name__)


class PositionConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Serves one agent's positions to one client, as docs/protocol.md says."""

    channel_layer_alias = None  # the hub listens

    hub: Hub
    delivery: Delivery
    token_expires_at: datetime
    _inbound: TokenBucket
    _last_heard: float
    _ping: asyncio.TimerHandle | None = None
    _expiry: asyncio.TimerHandle | None = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Channels closes old database connections before every message, on the process's one shared thread: 115 to
        # 250 µs (channels 4.3.2, 2 cores). Ours are asked for, and closed, on threads of their own.
        try:
            await getattr(self, get_handler_name(message))(message)
        except (StopConsumer, asyncio.CancelledError):
            raise
        except Exception:
            logger.exception("agent %s: a socket failed", self.delivery.agent_id)
            self._refuse(
                CloseReason.INTERNAL_ERROR, ErrorCode.INTERNAL_ERROR, "something went wrong on the server"
            )

    # Coming

    async def connect(self) -> None:
        self.hub = get_hub()
        agent_id = parse_agent_id(query(self.scope).get("agentId"))
        self.delivery = self._new_delivery(str(agent_id or ""))
        await self.accept()
        self._inbound = TokenBucket(
            settings.REALTIME["INBOUND_MESSAGES_PER_SECOND"], settings.REALTIME["INBOUND_BURST"]
        )
        user, self.token_expires_at = self.scope["user"], self.scope["token_expires_at"]
        if not user.is_authenticated:
            self._refuse(
                CloseReason.AUTHENTICATION_FAILED,
                ErrorCode.AUTHENTICATION_FAILED,
                "the token is missing, malformed, expired, no access token, or its user is not active",
            )
            return
        if len(self.hub.sockets) >= settings.REALTIME["MAX_SOCKETS"]:
            self._refuse(
                CloseReason.TRY_LATER, ErrorCode.TRY_LATER, "this server has all the sockets that it takes"
            )
            return
        if agent_id is None or not await may_watch(user.pk, agent_id):
            self._refuse(CloseReason.AGENT_NOT_FOUND, ErrorCode.AGENT_NOT_FOUND, "no such agent among yours")
            return
        self._start_timers()
        ping_interval = round(1000 * settings.REALTIME["PING_INTERVAL_SECONDS"])
        self._write(
            Connected(
                ConnectedData(
                    self.delivery.agent_id,
                    protocol.now(),
                    uuid.uuid4().hex,
                    ping_interval,
                    timestamp(self.token_expires_at),
                )
            )
        )
        await self._enter()

    def _new_delivery(self, agent_id: str) -> Delivery:
        return Delivery(
            self.base_send,
            user_id=self.scope["user"].pk,
            agent_id=agent_id,
            index=self.hub.index,
            max_unsent=settings.REALTIME["MAX_UNSENT_EVENTS"],
            retry_after_seconds=settings.REALTIME["RETRY_AFTER_SECONDS"],
            on_gap=self.hub.heal,
            on_close=self._leave,
        )

    async def _enter(self, *, acknowledge: bool = False) -> None:
        """Join, then take the snapshot, then let the stream follow it: in this order, nothing falls between."""
        delivery = self.delivery
        try:
            await self.hub.join(delivery)
        except (TimeoutError, NotJoined, *Unavailable) as error:
            logger.warning(
                "agent %s: a socket could not join: %s", delivery.agent_id, error or type(error).__name__
            )
            self._refuse(
                CloseReason.TRY_LATER, ErrorCode.TRY_LATER, "live messages cannot be delivered right now"
            )
            return
        held = await holdings(delivery.agent_id)
        if held is None:
            self._refuse(CloseReason.AGENT_NOT_FOUND, ErrorCode.AGENT_NOT_FOUND, "no such agent among yours")
            return
        await self.hub.prices.learn(
            {position["token_address"] for position in held.positions}, ask_source=True
        )
        # From here to start() nothing is awaited: a price that came meanwhile is in hub.prices, a later one finds
        # the index filled.
        if acknowledge:
            self._write(Subscribed(SubscribedData(delivery.agent_id, held.seq, recovered=False)))
        delivery.start(
            protocol.encode(self._initial_data(held)),
            held.seq,
            [(position["token_address"], position["id"]) for position in held.positions],
        )

    def _initial_data(self, held: Holdings) -> InitialData:
        quotes, sol_usd = self.hub.prices.quotes, self.hub.prices.sol_usd
        positions = [
            live(data, quotes.get(data["token_address"]), sol_usd=sol_usd) for data in held.positions
        ]
        return InitialData(InitialDataData(positions, protocol.now(), held.seq))

    # What the client says

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.delivery.closed:
            return
        self._last_heard = time.monotonic()
        size_bytes = len(text_data.encode() if text_data is not None else bytes_data or b"")
        if size_bytes > settings.REALTIME["MAX_MESSAGE_BYTES"]:
            self._refuse(
                CloseReason.TOO_BIG,
                ErrorCode.TOO_BIG,
                f"a message may have {settings.REALTIME['MAX_MESSAGE_BYTES']} bytes at most",
            )
        elif not self._inbound.take(time.monotonic()):
            self._refuse(CloseReason.RATE_LIMITED, ErrorCode.RATE_LIMITED, "too many messages")
        elif text_data is None:
            self.delivery.write(protocol.error(ErrorCode.BINARY_FRAME, "messages are text frames"))
        else:
            await self._answer(text_data)

    async def _answer(self, text: str) -> None:
        try:
            request = protocol.parse(text)
        except Malformed as problem:
            self.delivery.write(protocol.error(problem.code, problem.message))
            return
        if isinstance(request, PingRequest):
            self._write(protocol.Pong(protocol.now()))
        elif isinstance(request, SubscribeRequest):
            await self._subscribe(request)

    async def _subscribe(self, request: SubscribeRequest) -> None:
        delivery, agent_id = self.delivery, parse_agent_id(request.agent_id)
        if agent_id is not None and str(agent_id) == delivery.agent_id:
            if delivery.seq is not None:
                self._write(Subscribed(SubscribedData(delivery.agent_id, delivery.seq, recovered=False)))
            return
        if agent_id is None or not await may_watch(self.scope["user"].pk, agent_id):
            self.delivery.write(protocol.error(ErrorCode.AGENT_NOT_FOUND, "no such agent among yours"))
            return
        if delivery.closed:
            return
        self.hub.leave(delivery)
        delivery.hold_back()
        delivery.agent_id = str(agent_id)
        await self._enter(acknowledge=True)

    # Signs of life

    def _start_timers(self) -> None:
        loop = asyncio.get_running_loop()
        self._last_heard = time.monotonic()
        self._ping = loop.call_later(settings.REALTIME["PING_INTERVAL_SECONDS"], self._check_alive)
        remaining = (self.token_expires_at - datetime.now(UTC)).total_seconds()
        self._expiry = loop.call_later(max(0.0, remaining), self._expire)

    def _check_alive(self) -> None:
        interval: float = settings.REALTIME["PING_INTERVAL_SECONDS"]
        silent_seconds = time.monotonic() - self._last_heard
        if silent_seconds >= settings.REALTIME["DEAD_AFTER_SECONDS"]:
            self.delivery.close(CloseReason.TIMEOUT)
            return
        self._write(protocol.Ping(protocol.now()))
        wait = min(interval, max(0.01, settings.REALTIME["DEAD_AFTER_SECONDS"] - silent_seconds))
        self._ping = asyncio.get_running_loop().call_later(wait, self._check_alive)

    def _expire(self) -> None:
        self._refuse(CloseReason.TOKEN_EXPIRED, ErrorCode.TOKEN_EXPIRED, "the access token has expired")

    # Going

    async def disconnect(self, code: int) -> None:
        self._leave(self.delivery)
        self.delivery.abandon()

    def _leave(self, delivery: Delivery) -> None:
        for timer in (self._ping, self._expiry):
            if timer is not None:
                timer.cancel()
        self.hub.leave(delivery)

    def _refuse(self, reason: CloseReason, code: ErrorCode, message: str) -> None:
        """Say what is wrong, announce the close, close."""
        self.delivery.write(protocol.error(code, message))
        self.delivery.close(reason)

    def _write(self, message: Any) -> None:
        self.delivery.write(protocol.encode(message))
