"""Starts and restarts a socket's stream: join first, then read, then follow.

A stream starts when a client connects, and again when it subscribes (to the same agent with `lastSeq`, or to another
one) and when events were lost that are no longer stored. All of these go through `StreamStart._start`, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from django.conf import settings

from positions.books.snapshots import live
from positions.valkey import Unavailable
from realtime.hub.guard import Refused
from realtime.hub.hub import Hub
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import NotJoined
from realtime.hub.queries import Holdings, holdings, may_watch, missed_events
from realtime.monitoring.metrics import counts
from realtime.protocol import messages
from realtime.protocol.envelopes import EventMessage
from realtime.protocol.messages import (
    CloseReason,
    ErrorCode,
    InitialData,
    InitialDataData,
    Subscribed,
    SubscribedData,
)
from realtime.socket.connection import Connection

logger = logging.getLogger(__name__)

AGENT_NOT_FOUND = "agent not found"


class StreamStart:
    """Starts one socket's stream. Its methods raise Refused, and what the database raises: see `hub.guard`."""

    __slots__ = ("_connection", "_hub", "_outbox", "_turn")

    def __init__(self, hub: Hub, outbox: Outbox, connection: Connection) -> None:
        self._hub = hub
        self._outbox = outbox
        self._connection = connection
        self._turn = asyncio.Lock()

    # Entry points

    async def connect(self, last_seq: int | None) -> None:
        """Start the stream of a client that has just connected to an agent that it may watch."""
        async with self._turn:
            await self._start(last_seq, acknowledge=last_seq is not None)

    async def subscribe(self, agent_id: UUID | None, last_seq: int | None) -> None:
        """Acknowledge the current agent; start again after `lastSeq`, or with another agent."""
        outbox = self._outbox
        async with self._turn:
            allowed = agent_id is not None and await may_watch(outbox.user_id, agent_id)
            if outbox.closed:  # during the query
                return
            if not allowed:
                outbox.write(messages.error(ErrorCode.AGENT_NOT_FOUND, AGENT_NOT_FOUND))
            elif str(agent_id) != outbox.agent_id:
                self._hub.leave(outbox)
                outbox.hold_back()
                outbox.agent_id = str(agent_id)
                await self._start(last_seq, acknowledge=True)
            elif last_seq is None and outbox.seq is not None:
                outbox.write(_subscribed(outbox.agent_id, outbox.seq, recovered=True))
            else:
                outbox.hold_back()
                await self._start(last_seq, acknowledge=True)

    async def start_over(self) -> None:
        """Start again with a snapshot, after events were lost."""
        async with self._turn:
            if self._outbox.seq is None:  # else a `subscribe` in between has already started it
                await self._start(None, acknowledge=False)

    # Join, read, follow

    async def _start(self, last_seq: int | None, *, acknowledge: bool) -> None:
        """Join, read, follow. In this order no event is lost: from the join on, events arrive in the outbox, which
        holds them until the snapshot has been sent.

        With `last_seq` the stream continues after that event, if all events since are stored; otherwise it starts with
        a snapshot. With `acknowledge`, a `subscribed` comes first, which says which of the two follows.
        Two queries at most, one MGET. Safe to cancel.
        """
        outbox = self._outbox
        if not outbox.closed and not self._hub.serves(outbox):
            await self._join()
        if outbox.closed:
            return
        held, missed = await self._read(last_seq)
        self._follow(held, missed, last_seq, acknowledge=acknowledge)

    async def _join(self) -> None:
        outbox = self._outbox
        if self._connection.is_gone() or self._connection.is_leaving():
            # The database was slow. The client may be connected elsewhere by now, and must not be replaced there.
            outbox.abandon()
            return
        try:
            await self._hub.join(outbox)
        except (NotJoined, TimeoutError, *Unavailable) as error:
            counts.channel_layer_errors["join"] += 1
            logger.warning(
                "agent %s: a socket could not join: %s", outbox.agent_id, str(error) or type(error).__name__
            )
            raise Refused(
                CloseReason.TRY_LATER, ErrorCode.TRY_LATER, "live updates are unavailable right now"
            ) from error

    async def _read(self, last_seq: int | None) -> tuple[Holdings, list[EventMessage] | None]:
        """Return the open positions, and the events after `last_seq`: None if the client needs a snapshot instead."""
        outbox = self._outbox
        session_id = outbox.session_id
        held = await holdings(outbox.agent_id, outbox.user_id, session_id)
        while held is None and outbox.session_id != session_id:
            # A `refresh` has set another session meanwhile: the answer is about the previous one.
            session_id = outbox.session_id
            held = await holdings(outbox.agent_id, outbox.user_id, session_id)
        if held is None:
            raise Refused(CloseReason.AGENT_NOT_FOUND, ErrorCode.AGENT_NOT_FOUND, AGENT_NOT_FOUND)
        missed = await _missed(outbox.agent_id, held.seq, last_seq)
        positions = [*held.positions, *(event.position for event in missed or () if event.position)]
        tokens = {position["token_address"] for position in positions}
        await self._hub.fan_out.learn(tokens, ask_source=True)
        return held, missed

    def _follow(
        self,
        held: Holdings,
        missed: list[EventMessage] | None,
        last_seq: int | None,
        *,
        acknowledge: bool,
    ) -> None:
        """Send what was read, and from here on every event and price.

        Awaits nothing: a price that arrived during the read is in hub.prices, and a later one finds the index filled.
        """
        outbox, hub = self._outbox, self._hub
        if last_seq is not None:
            counts.resumes["snapshot" if missed is None else "recovered"] += 1
        tokens = [(position["token_address"], position["id"]) for position in held.positions]
        texts = []
        if acknowledge:
            texts.append(_subscribed(outbox.agent_id, held.seq, recovered=missed is not None))
        if missed is None or last_seq is None:
            texts.append(messages.encode(self._initial_data(held)))
            outbox.start(texts, held.seq, tokens)
        else:
            outbox.start(texts, last_seq, tokens)
            for event in missed:
                outbox.event(hub.events.as_sent(event))
            hub.fan_out.send_newest(outbox, {token for token, _ in tokens}, in_full=True)

    def _initial_data(self, held: Holdings) -> InitialData:
        prices = self._hub.prices
        positions = [
            live(data, prices.quote(data["token_address"]), sol_usd=prices.sol_usd) for data in held.positions
        ]
        return InitialData(InitialDataData(positions, messages.now(), held.seq))


async def _missed(agent_id: str, seq: int, last_seq: int | None) -> list[EventMessage] | None:
    """Return the events after `last_seq` up to `seq`; None if some are no longer stored, or there are too many."""
    if last_seq is None or not 0 <= seq - last_seq <= settings.REALTIME["MAX_REPLAYED_EVENTS"]:
        return None
    if seq == last_seq:
        return []
    events = await missed_events(agent_id, after=last_seq, limit=seq - last_seq)
    complete = len(events) == seq - last_seq and events[-1].seq == seq
    return events if complete else None


def _subscribed(agent_id: str, seq: int, *, recovered: bool) -> str:
    return messages.encode(Subscribed(SubscribedData(agent_id, seq, recovered)))
