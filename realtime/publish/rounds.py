"""A round of prices, from the price feed to the server processes: one message, or one for each shard of the tokens."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from positions.prices.quotes import Quote
from realtime.protocol.messages import PRICES_GROUP
from realtime.protocol.price_envelopes import PriceMessage, layout_message
from realtime.protocol.shards import shard_groups, shard_of
from realtime.publish import groups
from realtime.publish.connections import channel_layer

QUOTES_AT_ONCE = 500
"""Encoded in one go: about 1 ms."""

Messages = Sequence[tuple[str, Mapping[str, Any]]]
"""Each with its group."""


async def make_round(quotes: Sequence[Quote], *, shards: int = 1) -> Messages:
    """Return what `send_round` sends, made in slices between which other tasks go on. Safe to cancel.

    With one shard it is one message to all processes. With several, each shard with a price of this round has a message
    of its own; a last one, to all, names these shards and has the price of SOL.
    """
    for_all, parts = PriceMessage(), defaultdict[int, PriceMessage](PriceMessage)
    for begin in range(0, len(quotes), QUOTES_AT_ONCE):
        some = quotes[begin : begin + QUOTES_AT_ONCE]
        if shards == 1:
            for_all.add(some)
        else:
            for quote in some:
                shard = shard_of(quote.token_address, shards)
                (for_all if shard is None else parts[shard]).add((quote,))
        await asyncio.sleep(0)
    if shards == 1:
        return [(PRICES_GROUP, for_all.content)]
    number, names, sent = time.time_ns(), shard_groups(shards), sorted(parts)
    return [
        *((names[shard], parts[shard].content | {"round": number, "shard": shard}) for shard in sent),
        (PRICES_GROUP, layout_message(for_all, shards=shards, number=number, sent=sent)),
    ]


async def send_round(messages: Messages) -> None:
    """Send each message to its group. Raises what the channel layer raises. Safe to cancel."""
    await groups.send(await channel_layer(), messages)
