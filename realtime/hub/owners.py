"""Which agents have a socket that owns them, for readers outside the hubs: the claims of `ownership`."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast
from uuid import UUID

from positions import valkey
from realtime.hub.ownership import owner_key


def owned_agents(agent_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the agents that a socket owns: one MGET. Raises valkey.Unavailable.

    One whose process was killed counts until its claim expires.
    """
    if not agent_ids:
        return set()
    claims = cast(
        "list[bytes | None]", valkey.client().mget([owner_key(str(agent_id)) for agent_id in agent_ids])
    )
    return {agent_id for agent_id, claim in zip(agent_ids, claims, strict=True) if claim is not None}
