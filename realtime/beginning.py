"""How a stream begins: with a snapshot, or after the last event that a client has."""

from __future__ import annotations

from django.conf import settings

from positions.snapshots import live
from realtime import protocol
from realtime.delivery import Delivery
from realtime.hub import Hub
from realtime.layer import EventMessage
from realtime.metrics import counts
from realtime.protocol import InitialData, InitialDataData, Subscribed, SubscribedData
from realtime.storage import Holdings, holdings, missed_events


class NoSuchAgent(Exception):
    """The agent is gone, or no longer this user's."""


async def begin(hub: Hub, delivery: Delivery, last_seq: int | None, *, acknowledge: bool) -> None:
    """Begin the stream after event `last_seq`, where all since is kept; else with a snapshot.

    The delivery must have joined. With `acknowledge`, a `subscribed` comes first and says which of the two it is.
    Two queries at the most, one MGET. Raises NoSuchAgent, and what the database raises. Safe to cancel.
    """
    if delivery.closed:
        return
    held = await holdings(delivery.agent_id, delivery.user_id)
    if held is None:
        raise NoSuchAgent
    missed = await _missed(delivery.agent_id, held.seq, last_seq)
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
        texts.append(protocol.encode(Subscribed(SubscribedData(delivery.agent_id, held.seq, recovered))))
    if missed is None or last_seq is None:
        texts.append(protocol.encode(_initial_data(hub, held)))
        delivery.start(texts, held.seq, tokens)
    else:
        delivery.start(texts, last_seq, tokens)
        for event in missed:
            delivery.event(hub.events.as_sent(event))
        hub.fan_out.send_newest(delivery, {token for token, _ in tokens})


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
    return InitialData(InitialDataData(positions, protocol.now(), held.seq))
