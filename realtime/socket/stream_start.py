"""How a stream begins: with a snapshot, or after the last event that a client has."""

from __future__ import annotations

from django.conf import settings

from positions.books.snapshots import live
from realtime.hub.hub import Hub
from realtime.hub.outbox import Outbox
from realtime.hub.queries import Holdings, holdings, missed_events
from realtime.monitoring.metrics import counts
from realtime.protocol import messages
from realtime.protocol.envelopes import EventMessage
from realtime.protocol.messages import InitialData, InitialDataData, Subscribed, SubscribedData


class NoSuchAgent(Exception):
    """The agent is gone, or no longer this user's."""


async def begin(hub: Hub, outbox: Outbox, last_seq: int | None, *, acknowledge: bool) -> None:
    """Begin the stream after event `last_seq`, where all since is kept; else with a snapshot.

    The outbox must have joined. With `acknowledge`, a `subscribed` comes first and says which of the two it is.
    Two queries at the most, one MGET. Raises NoSuchAgent, and what the database raises. Safe to cancel.
    """
    if outbox.closed:
        return
    held = await holdings(outbox.agent_id, outbox.user_id)
    if held is None:
        raise NoSuchAgent
    missed = await _missed(outbox.agent_id, held.seq, last_seq)
    positions = [*held.positions, *(event.position for event in missed or () if event.position)]
    await hub.fan_out.learn({position["token_address"] for position in positions}, ask_source=True)
    # From here to the end nothing is awaited: a price that came meanwhile is in hub.prices, a later one finds the
    # index filled.
    tokens = [(position["token_address"], position["id"]) for position in held.positions]
    texts = []
    if last_seq is not None:
        counts.resumes["snapshot" if missed is None else "recovered"] += 1
    if acknowledge:
        recovered = missed is not None
        texts.append(messages.encode(Subscribed(SubscribedData(outbox.agent_id, held.seq, recovered))))
    if missed is None or last_seq is None:
        texts.append(messages.encode(_initial_data(hub, held)))
        outbox.start(texts, held.seq, tokens)
    else:
        outbox.start(texts, last_seq, tokens)
        for event in missed:
            outbox.event(hub.events.as_sent(event))
        hub.fan_out.send_newest(outbox, {token for token, _ in tokens})


async def _missed(agent_id: str, seq: int, last_seq: int | None) -> list[EventMessage] | None:
    """Return the events after `last_seq` up to `seq`; None where not all are kept, or too many to replay."""
    if last_seq is None or not 0 <= seq - last_seq <= settings.REALTIME["MAX_REPLAYED_EVENTS"]:
        return None
    if seq == last_seq:
        return []
    events = await missed_events(agent_id, after=last_seq, limit=seq - last_seq)
    complete = len(events) == seq - last_seq and events[-1].seq == seq
    return events if complete else None


def _initial_data(hub: Hub, held: Holdings) -> InitialData:
    prices = hub.prices
    positions = [
        live(data, prices.quote(data["token_address"]), sol_usd=prices.sol_usd) for data in held.positions
    ]
    return InitialData(InitialDataData(positions, messages.now(), held.seq))
