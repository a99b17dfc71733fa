"""What travels over the channel layer between processes. Prices are packed in price_envelopes.py.

Eight types: `position.event`, `socket.claimed`, `access.changed`, `socket.disconnect` and `watchers.disconnect` go to
an agent's group, `price.batch` to the prices group. Where prices are sent by shard (shards.py), `price.layout` goes to
the prices group, `price.batch` and `price.joined` to the shards' groups. The members of all groups are hubs, one a
server process. Names are snake_case, decimals strings.

During a rolling restart, processes of two releases receive each other's messages, so each type has a version
(docs/adr/0007). To add a field that older processes may ignore, give it a default in its Struct; the version stays. If
they would go wrong without it, raise the number in VERSIONS: they skip such a message, and the reconciler makes up for
it. A message also names the installation that sent it, where that is known (positions/installations.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from positions.books.snapshots import timestamp, upgraded
from positions.installations import known_installation
from positions.models import PositionEvent

VERSIONS = {
    "position.event": 1,
    "price.batch": 1,
    "price.layout": 1,
    "price.joined": 1,
    "access.changed": 1,
    "socket.claimed": 1,
    "socket.disconnect": 1,
    "watchers.disconnect": 1,
}
"""The version of each type that this release sends, and the newest that it reads; 1 where a message has none."""


def unreadable(message: Mapping[str, Any]) -> str | None:
    """Return how to name, in a log line, a message of an unknown type or version; None if both are known."""
    kind, version = message.get("type"), message.get("version", 1)
    newest = VERSIONS.get(kind) if isinstance(kind, str) else None
    if newest is None:
        return f"type {kind!r}"
    if not isinstance(version, int) or version > newest:
        return f"type {kind!r} and version {version!r}"
    return None


def foreign(message: Mapping[str, Any]) -> str | None:
    """Return the installation that sent a message, if it is known not to be this one."""
    sender, own = message.get("installation"), known_installation()
    return None if sender == own or not isinstance(sender, str) or own is None else sender


class EventMessage(Struct):
    """`position.event`: a PositionEvent."""

    agent_id: str
    seq: int
    event_type: Literal["position_created", "position_updated", "position_closed"]
    position_id: str
    position: dict[str, Any] | None
    """A snapshot in this release's shape (positions.books.snapshots)."""
    created_at: str


class ClaimMessage(Struct):
    """`socket.claimed`: a socket has taken an agent; every socket of a lower claim that owns it ends.

    A watcher sends one with a negative number, which ends none, to learn whether the group's messages reach it.
    """

    agent_id: str
    claim: int


class AccessMessage(Struct):
    """`access.changed`: who may watch an agent may have changed."""

    agent_id: str


class LayoutMessage(Struct):
    """`price.layout`: the last message of a round that is sent by shard. It has SOL's price, as a `price.batch` has.

    A release that does not know it would miss the others: it says so, and reads prices from the cache.
    """

    shards: int
    round: int
    """The same in the messages of the round's shards, beside the number of their `shard`."""
    sent: list[int]
    """The shards that have prices in this round."""


class JoinedMessage(Struct):
    """`price.joined`: a hub sends it to a group that it has joined, to learn whether the group's messages reach it."""

    group: str
    hub: str


class DisconnectMessage(Struct):
    """`socket.disconnect`, `watchers.disconnect`: an operator wants this agent's owner, or watchers, to reconnect."""

    agent_id: str


def event_message(event: PositionEvent) -> dict[str, Any]:
    """Return the message that takes a stored event to the sockets of its agent."""
    return message_of(
        "position.event",
        agent_id=str(event.agent_id),
        seq=event.seq,
        event_type=str(event.event_type),
        position_id=str(event.position_id),
        position=event.position,
        created_at=timestamp(event.created_at),
    )


def read_event(message: Mapping[str, Any]) -> EventMessage:
    """Return the content of a `position.event` of any release. Raises msgspec.ValidationError."""
    event = msgspec.convert(message, EventMessage)
    if event.position is not None:
        event.position = upgraded(event.position)
    return event


def to_event(event: PositionEvent) -> EventMessage:
    """Return a stored event in the form in which the channel layer delivers it."""
    return msgspec.convert(event_message(event), EventMessage)


def claim_message(agent_id: str, claim: int) -> dict[str, Any]:
    return message_of("socket.claimed", agent_id=agent_id, claim=claim)


def access_message(agent_id: UUID) -> dict[str, Any]:
    return message_of("access.changed", agent_id=str(agent_id))


def disconnect_message(agent_id: UUID, *, watchers: bool = False) -> dict[str, Any]:
    """Return the message that makes an agent's owner reconnect, or its watchers."""
    return message_of("watchers.disconnect" if watchers else "socket.disconnect", agent_id=str(agent_id))


def joined_message(group: str, hub_id: str) -> dict[str, Any]:
    return message_of("price.joined", group=group, hub=hub_id)


def message_of(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a message of this type, with its version and who sent it: those of this package only."""
    message = {"type": kind, "version": VERSIONS[kind], **fields}
    if (sender := known_installation()) is not None:
        message["installation"] = sender
    return message
