"""What a stream starts with, built in slices: the snapshot, or the missed events and the newest prices.

Meanwhile each position's token is noted in the outbox, so that its start has nothing left to do that takes long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from positions.books.live import encoded
from realtime.hub.holdings import Holdings
from realtime.hub.hub import Hub
from realtime.hub.outbox import Event, Outbox
from realtime.protocol import messages
from realtime.protocol.compact import keyed_position
from realtime.protocol.envelopes import EventMessage

LARGE_BYTES = 1024**2


class Missed(NamedTuple):
    """What a client has missed."""

    events: list[Event]
    prices: dict[str, str]
    """The fragment of each token, in full."""


async def build_snapshot(hub: Hub, outbox: Outbox, held: Holdings) -> bytes:
    """Return the `initial_data` of these positions, at the prices of the moment when each was built.

    One that another socket of the agent was sent a moment ago, if nothing has changed.
    """
    moment = hub.snapshots.moment(held.seq, is_compact=outbox.price_keys is not None)
    shared = hub.snapshots.find(outbox.agent_id, moment)
    if shared is not None and not outbox.closed:
        for token, position_id in held.tokens():
            outbox.hold(token, position_id)
        return shared
    positions: list[bytes] = []
    await hub.turns.run(_positions(hub, outbox, held, positions))
    whole = messages.initial_data(positions, messages.now(), held.seq)
    if len(whole) > LARGE_BYTES:  # to copy it once, and to give it to the server, are a slice each
        await hub.turns.next()
    elif not outbox.closed:  # else it has not all positions
        hub.snapshots.keep(outbox.agent_id, moment, whole)
    return whole


def _positions(hub: Hub, outbox: Outbox, held: Holdings, content: list[bytes]) -> Iterator[None]:
    prices, sol_usd = hub.prices, hub.prices.sol_usd
    for data in held.positions():
        if outbox.closed:
            return
        token = data["token_address"]
        position = encoded(data, prices.quote(token), sol_usd=sol_usd)
        if outbox.price_keys is not None:
            position = keyed_position(position, outbox.price_keys.of(token))
        content.append(position)
        outbox.hold(token, data["id"])
        yield


async def build_missed(hub: Hub, outbox: Outbox, held: Holdings, missed: Sequence[EventMessage]) -> Missed:
    """Return these events, valued, and the newest prices of what is held now."""
    content = Missed([], {})
    await hub.turns.run(_events_and_prices(hub, outbox, held, missed, content))
    return content


def _events_and_prices(
    hub: Hub, outbox: Outbox, held: Holdings, missed: Sequence[EventMessage], content: Missed
) -> Iterator[None]:
    for event in missed:
        content.events.append(hub.events.as_sent(event))
        yield
    for token, position_id in held.tokens():
        if outbox.closed:
            return
        outbox.hold(token, position_id)
        if token not in content.prices:
            content.prices.update(hub.prices.fragments([token], in_full=True))
        yield
