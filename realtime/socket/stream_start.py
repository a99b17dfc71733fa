"""Starts and restarts a socket's stream: join first, then read, then follow.

A stream starts when a client connects, and again when it subscribes (to the same agent with `lastSeq`, or to another
one) and when events were lost that are no longer stored. All of these go through `StreamStart._start`, one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from uuid import UUID

from positions.valkey import Unavailable
from realtime.conf import conf
from realtime.hub.guard import Refused
from realtime.hub.holdings import FEW, Asked, Holdings
from realtime.hub.hub import Hub
from realtime.hub.membership import NotJoined
from realtime.hub.missed import Gap, decoded
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import TooManySockets
from realtime.hub.queries import may_watch
from realtime.hub.shares import Share, refused, too_many_sockets
from realtime.hub.watchers import WatchersFull, watchers_full
from realtime.hub.writer import size_of
from realtime.monitoring import outages
from realtime.monitoring.metrics import counts
from realtime.protocol import messages
from realtime.protocol.envelopes import EventMessage
from realtime.protocol.messages import CloseReason, ErrorCode, Subscribed, SubscribedData
from realtime.socket.connection import Connection
from realtime.socket.stream_content import build_missed, build_snapshot

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

    async def connect(self, last_seq: int | None, epoch: str | None = None) -> None:
        """Start the stream of a client that has just connected to an agent that it may watch."""
        async with self._turn:
            await self._start(last_seq, epoch, acknowledge=last_seq is not None)

    async def subscribe(self, agent_id: UUID | None, last_seq: int | None, epoch: str | None = None) -> None:
        """Acknowledge the current agent; start again after `lastSeq`, or with another agent."""
        outbox = self._outbox
        async with self._turn:
            await self._drained()
            allowed = agent_id is not None and await may_watch(outbox.user_id, agent_id)
            if outbox.closed:  # during the query
                return
            if not allowed:
                outbox.write(messages.error(ErrorCode.AGENT_NOT_FOUND, AGENT_NOT_FOUND))
            elif str(agent_id) != outbox.agent_id:
                self._hub.leave(outbox)
                outbox.hold_back()
                outbox.left, outbox.agent_id = outbox.member, str(agent_id)
                outbox.watches |= outbox.read_only
                outbox.keys_told = False
                await self._start(last_seq, epoch, acknowledge=True)
            elif last_seq is None and outbox.seq is not None:
                outbox.write(_subscribed(outbox.agent_id, outbox.seq, recovered=True))
            else:
                outbox.hold_back()
                await self._start(last_seq, epoch, acknowledge=True)

    async def start_over(self) -> None:
        """Start again with a snapshot, after events were lost."""
        async with self._turn:
            await self._drained()
            if self._outbox.seq is not None:  # a `subscribe` in between has already started it
                return
            try:
                await self._start(None, None, acknowledge=False)
            except Refused as refused:
                if refused.reason is not CloseReason.AGENT_NOT_FOUND:
                    raise
                self._hub.revoke(self._outbox)  # it was found before

    # Join, read, follow

    async def _start(self, last_seq: int | None, epoch: str | None, *, acknowledge: bool) -> None:
        """Join, read, follow. In this order no event is lost: from the join on, events arrive in the outbox, which
        holds them until the snapshot has been sent.

        With `last_seq` the stream continues after that event, if all events since are stored and `epoch`, where given,
        is the database's; otherwise it starts with a snapshot. With `acknowledge`, a `subscribed` comes first, which
        says which of the two follows.
        Two queries at most, with `epoch` four; one MGET. Safe to cancel.
        """
        outbox, share = self._outbox, self._hub.shares.of(self._outbox.user_id)
        await share.wait()
        if not outbox.closed and not self._hub.serves(outbox):
            await self._join()
        if outbox.closed:
            return
        await share.wait()
        self._hub.shares.check_room(outbox.user_id)
        held, missed = await self._read(last_seq, epoch, share)
        rows = len(held.rows) + len(missed or ())
        share.spend(rows)
        # Nobody's turn: a source that does not answer takes two seconds.
        await self._learn_prices(held, missed)
        await self._hub.turns.piece()
        # Of what is built before a price changes, the newest price follows.
        async with share.turn() if rows > FEW else contextlib.nullcontext():
            with self._hub.prices.changes() as changed:
                await self._follow(held, missed, last_seq, changed, acknowledge=acknowledge)

    async def _drained(self) -> None:
        """Wait until the client has read what was sent: two snapshots are never in memory for one client."""
        await self._outbox.drained()
        await self._connection.drained()

    async def _join(self) -> None:
        outbox = self._outbox
        if self._connection.is_gone() or self._connection.is_leaving():
            # The database was slow. The client may be connected elsewhere by now, and must not be replaced there.
            outbox.abandon()
            return
        try:
            await self._hub.join(outbox)
        except WatchersFull:
            raise refused("agent_watchers", watchers_full()) from None
        except TooManySockets:
            raise refused("user_sockets", too_many_sockets(conf.USER_SOCKETS)) from None
        except (NotJoined, TimeoutError, *Unavailable) as error:
            counts.channel_layer_errors["join"] += 1
            why = str(error) or type(error).__name__
            logger.warning(
                "agent %s: a socket could not join: %s", outbox.agent_id, why, extra=outages.field("valkey")
            )
            raise Refused(
                CloseReason.TRY_LATER, ErrorCode.TRY_LATER, "live updates are unavailable right now"
            ) from error

    async def _read(
        self, last_seq: int | None, epoch: str | None, share: Share
    ) -> tuple[Holdings, list[EventMessage] | None]:
        """Return the open positions, and the events after `last_seq`: None if the client needs a snapshot instead."""
        outbox = self._outbox
        family_id = outbox.family_id
        held = await self._hub.arrivals.holdings(
            Asked(outbox.agent_id, outbox.user_id, family_id), share.turn
        )
        while held is None and outbox.family_id != family_id:
            # A `refresh` has brought a token of another family meanwhile: the answer is about the previous one.
            family_id = outbox.family_id
            held = await self._hub.arrivals.holdings(
                Asked(outbox.agent_id, outbox.user_id, family_id), share.turn
            )
        if held is None:
            raise Refused(CloseReason.AGENT_NOT_FOUND, ErrorCode.AGENT_NOT_FOUND, AGENT_NOT_FOUND)
        if last_seq is not None and epoch is not None and epoch != await self._hub.epochs.look_together():
            return held, None  # since a restore the same numbers are of other events
        return held, await self._missed(held.seq, last_seq, share)

    async def _missed(self, seq: int, last_seq: int | None, share: Share) -> list[EventMessage] | None:
        """Return the events after `last_seq` up to `seq`; None if some are no longer stored, or there are too many."""
        if last_seq is None or not 0 <= seq - last_seq <= conf.MAX_REPLAYED_EVENTS:
            return None
        if seq == last_seq:
            return []
        agent_id, events = self._outbox.agent_id, list[EventMessage]()
        stored = await self._hub.arrivals.events(Gap(agent_id, last_seq, seq), share.turn)
        await self._hub.turns.piece()
        await self._hub.turns.run(decoded(agent_id, stored, events))
        return events if len(events) == seq - last_seq else None

    async def _learn_prices(self, held: Holdings, missed: list[EventMessage] | None) -> None:
        tokens = {token for token, _ in held.tokens()}
        tokens.update(event.position["token_address"] for event in missed or () if event.position)
        await self._hub.fan_out.learn(tokens, ask_source=True)

    async def _follow(
        self,
        held: Holdings,
        missed: list[EventMessage] | None,
        last_seq: int | None,
        changed: Mapping[str, str],
        *,
        acknowledge: bool,
    ) -> None:
        """Build and send what was read, and from here on every event and price.

        Awaits nothing once it is built: a price that arrived before is in hub.prices, and in `changed` if it came while
        it was built; a later one finds the index filled.
        """
        outbox, hub = self._outbox, self._hub
        if last_seq is not None:
            counts.resumes["snapshot" if missed is None else "recovered"] += 1
        texts: list[str | bytes] = []
        if acknowledge:
            texts.append(_subscribed(outbox.agent_id, held.seq, recovered=missed is not None))
        if missed is None or last_seq is None:
            texts.append(await build_snapshot(hub, outbox, held))
            hub.shares.note_snapshot(outbox, size_of(texts[-1]))
            outbox.start(texts, held.seq)
        elif outbox.price_keys is not None and not outbox.keys_told:
            # Events tell the keys of their own tokens only: a snapshot, after what was missed, tells them all.
            events, _ = await build_missed(hub, outbox, held, missed)
            texts += map(outbox.price_keys.told, events)
            texts.append(await build_snapshot(hub, outbox, held))
            hub.shares.note_snapshot(outbox, size_of(texts[-1]))
            outbox.start(texts, held.seq)
        else:
            events, prices = await build_missed(hub, outbox, held, missed)
            with outbox.joining():
                outbox.start(texts, last_seq)
                for event in events:
                    outbox.event(event)
                outbox.prices(prices, messages.now())
        if changed:
            outbox.prices(changed, messages.now())


def _subscribed(agent_id: str, seq: int, *, recovered: bool) -> str:
    return messages.encode(Subscribed(SubscribedData(agent_id, seq, recovered)))
