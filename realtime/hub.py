"""One per server process: hears the channel layer for all its sockets, and hands each what is its own.

The members of every group are hubs, not sockets: a batch of prices reaches a process once, however many sockets it
serves, and each token's fragment is encoded once. The way of a message: `_listen` → `_price_batch` or
`_position_event` → `Delivery`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
import weakref
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from channels.layers import get_channel_layer

from positions import valkey
from positions.snapshots import live, number
from realtime import layer, protocol
from realtime.delivery import Delivery, Event, TokenIndex
from realtime.layer import AccessMessage, ClaimMessage, EventMessage
from realtime.presence import Presence
from realtime.price_book import PriceBook
from realtime.protocol import (
    CloseReason,
    ErrorCode,
    PositionUpdate,
    PositionUpdateData,
    PriceUpdate,
    agent_group,
)
from realtime.storage import may_watch, missed_events

logger = logging.getLogger(__name__)

CLAIMS_KEY = f"{valkey.KEY_PREFIX}claims"
# How long a socket waits for its own claim to come back through the channel layer, and how often it claims again.
CLAIM_WAIT_SECONDS = 1.0
CLAIM_TRIES = 3
# Sockets written to before other tasks get a turn: a write costs about 20 µs on uvicorn, 60 on daphne.
SOCKETS_PER_TURN = 100
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


class NotJoined(Exception):
    """The channel layer did not confirm that it delivers this agent's messages here."""


class Hub:
    """The sockets of this process and what they hold."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.sockets: dict[str, Delivery] = {}
        """The socket of each agent that is served here."""
        self.index = TokenIndex()
        self.prices = PriceBook()
        self.listening = False
        """Whether the channel layer delivers here."""
        self._presence = Presence(self.id)
        self._channel: str | None = None
        self._channel_ready = asyncio.Event()
        self._claimed: dict[tuple[str, int], asyncio.Event] = {}
        self._healing: set[Delivery] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unknown_types: set[str] = set()

    def start(self) -> None:
        self._spawn(self._listen())
        self._spawn(self._presence.run())

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Coming and going

    async def join(self, delivery: Delivery) -> None:
        """Make this the agent's socket, over all processes, and let its events wait in `delivery` from now on.

        Returns once the channel layer demonstrably delivers the agent's messages here: a snapshot read after that
        misses nothing. Raises NotJoined, or what the channel layer raises, when it does not. An older socket of the
        agent is closed, here at once and elsewhere when it hears the claim. Safe to cancel; `leave` undoes all.
        """
        agent_id = delivery.agent_id
        delivery.claim = await _next_claim()
        older = self.sockets.get(agent_id)
        if older is not None and older is not delivery:
            if older.claim > delivery.claim:  # its INCR overtook ours
                delivery.close(CloseReason.REPLACED)
                return
            older.close(CloseReason.REPLACED)  # leaves: see `leave`
        self.sockets[agent_id] = delivery
        self._presence.add(agent_id)
        await asyncio.wait_for(self._channel_ready.wait(), CLAIM_WAIT_SECONDS * CLAIM_TRIES)
        channel_layer = get_channel_layer()
        await channel_layer.group_add(agent_group(agent_id), self._channel)
        await self._claim(agent_id, delivery.claim)

    async def _claim(self, agent_id: str, claim: int) -> None:
        heard = self._claimed.setdefault((agent_id, claim), asyncio.Event())
        message = layer.claim_message(agent_id, claim)
        try:
            for _ in range(CLAIM_TRIES):
                await get_channel_layer().group_send(agent_group(agent_id), message)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(heard.wait(), CLAIM_WAIT_SECONDS)
                    return
        finally:
            del self._claimed[agent_id, claim]
        raise NotJoined(f"the channel layer does not deliver the messages of agent {agent_id}")

    def leave(self, delivery: Delivery) -> None:
        """Forget a socket. One that was replaced takes nothing from the one that has its place now."""
        if self.sockets.get(delivery.agent_id) is not delivery:
            return
        del self.sockets[delivery.agent_id]
        self._presence.remove(delivery.agent_id)
        if self._channel is not None:
            self._spawn(self._leave_group(delivery.agent_id))

    async def _leave_group(self, agent_id: str) -> None:
        if agent_id in self.sockets:  # a newer socket has come meanwhile
            return
        try:
            await get_channel_layer().group_discard(agent_group(agent_id), self._channel)
        except valkey.Unavailable as error:
            logger.warning("agent %s: its group was not left: %s", agent_id, error)

    # Prices

    async def _price_batch(self, message: Mapping[str, Any]) -> None:
        """Send every socket the new prices of what it holds, in one message each."""
        updates = message.get("updates")
        quotes = []
        for update in updates if isinstance(updates, list) else ():
            try:
                quotes.append(layer.read_price(update))
            except (ValueError, msgspec.ValidationError) as error:
                logger.warning("a price batch has an update that is none: %s", error)
        fragments: dict[str, str] = {}
        wanted: dict[Delivery, list[str]] = {}
        for quote in self.prices.remember(quotes):
            token = quote.token_address
            holders = self.index.holders(token)
            if not holders:
                continue
            fragments[token] = protocol.price_fragment(
                PriceUpdate(token, number(quote.price), number(quote.price_usd))
            )
            for delivery in holders:
                wanted.setdefault(delivery, []).append(token)
        at = protocol.now()
        for turn, (delivery, tokens) in enumerate(wanted.items(), start=1):
            delivery.prices(tokens, fragments, at)
            if turn % SOCKETS_PER_TURN == 0:
                await asyncio.sleep(0)

    # Events

    async def _position_event(self, message: Mapping[str, Any]) -> None:
        event = msgspec.convert(message, EventMessage)
        delivery = self.sockets.get(event.agent_id)
        if delivery is not None:
            await self._deliver(delivery, event)

    async def _deliver(self, delivery: Delivery, event: EventMessage) -> None:
        token = event.position["token_address"] if event.position else None
        if token is not None and token not in self.prices.quotes:
            # Not of the source: that may take seconds, and every other message waits behind this one.
            await self.prices.learn([token], ask_source=False)
        delivery.event(Event(event.seq, self.event_text(event), event.position_id, token))

    def event_text(self, event: EventMessage) -> str:
        """Return the event as a message, its position at the newest price that this process knows."""
        data = PositionUpdateData(event_type=event.event_type, seq=event.seq, timestamp=event.created_at)
        if event.position is None:
            data.position_id = event.position_id
        else:
            data.position = live(
                event.position,
                self.prices.quotes.get(event.position["token_address"]),
                sol_usd=self.prices.sol_usd,
            )
        return protocol.encode(PositionUpdate(data))

    def heal(self, delivery: Delivery) -> None:
        """Read the events that are missing between the last one sent and those that have come, and send them."""
        if delivery not in self._healing:
            self._healing.add(delivery)
            self._spawn(self._heal(delivery))

    async def _heal(self, delivery: Delivery) -> None:
        try:
            while delivery.has_gap and not delivery.closed:
                seq = delivery.seq
                assert seq is not None  # noqa: S101  has_gap says so
                events = await missed_events(delivery.agent_id, after=seq)
                for event in events:
                    await self._deliver(delivery, event)
                if not events:
                    return  # what is ahead claims a number that was never given: ignore it
        except Exception:
            # The next event, or the client's next connect, tries again.
            logger.exception("agent %s: missed events not read", delivery.agent_id)
        finally:
            self._healing.discard(delivery)

    # The channel layer

    async def _listen(self) -> None:
        """Receive for ever; a broken connection or message never ends it."""
        failures = 0
        while True:
            try:
                channel_layer = get_channel_layer()
                self._channel = await channel_layer.new_channel()
                await channel_layer.group_add(protocol.PRICES_GROUP, self._channel)
                for agent_id in self.sockets:
                    await channel_layer.group_add(agent_group(agent_id), self._channel)
                self._channel_ready.set()
                self.listening, failures = True, 0
                while True:
                    await self._handle(await channel_layer.receive(self._channel))
            except valkey.Unavailable as error:
                self.listening = False
                self._channel_ready.clear()
                wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
                logger.warning("the channel layer is away (%s); trying again in %s s", error, wait)
                await asyncio.sleep(wait)
            except Exception:
                # One message that cannot be unpacked. The layer has taken it off its queue.
                logger.exception("a message from the channel layer was not understood")
                await asyncio.sleep(0)

    async def _handle(self, message: Mapping[str, Any]) -> None:
        kind = message.get("type")
        try:
            if kind == "price.batch":
                await self._price_batch(message)
            elif kind == "position.event":
                await self._position_event(message)
            elif kind == "access.changed":
                self._spawn(self._check_access(msgspec.convert(message, AccessMessage)))
            elif kind == "socket.claimed":
                self._socket_claimed(msgspec.convert(message, ClaimMessage))
            elif str(kind) not in self._unknown_types and len(self._unknown_types) < 100:
                self._unknown_types.add(str(kind))
                logger.warning("messages of the unknown type %r are ignored", kind)
        except Exception:
            logger.exception("a message of type %r was not handled", kind)

    async def _check_access(self, message: AccessMessage) -> None:
        """End the agent's socket if its user may not watch the agent any more."""
        delivery = self.sockets.get(message.agent_id)
        if delivery is not None and not await may_watch(delivery.user_id, UUID(message.agent_id)):
            delivery.write(protocol.error(ErrorCode.ACCESS_REVOKED, "you may not watch this agent any more"))
            delivery.close(CloseReason.ACCESS_REVOKED)

    def _socket_claimed(self, message: ClaimMessage) -> None:
        heard = self._claimed.get((message.agent_id, message.claim))
        if heard is not None:
            heard.set()
        delivery = self.sockets.get(message.agent_id)
        if delivery is not None and delivery.claim < message.claim:
            delivery.close(CloseReason.REPLACED)


async def _next_claim() -> int:
    """Return a number higher than all before it, in any process."""
    async with valkey.async_client().pipeline(transaction=True) as pipeline:
        # Where the server has lost the counter, it goes on from the clock, ahead of every number given so far.
        pipeline.set(CLAIMS_KEY, time.time_ns() // 1000, nx=True)
        pipeline.incr(CLAIMS_KEY)
        return int((await pipeline.execute())[1])


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def get_hub() -> Hub:
    """Return the running event loop's hub; the first call starts it."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
        hub.start()
    return hub
