"""The outbox of a new socket: its bounds from the settings, and who is told what happens to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from realtime.conf import conf
from realtime.hub.hub import Hub
from realtime.hub.outbox import Outbox
from realtime.hub.writer import AsgiSend
from realtime.protocol.requests import OWN, parse_agent_id
from realtime.socket.authentication import Credential, query


def new_outbox(
    hub: Hub,
    scope: Mapping[str, Any],
    send: AsgiSend,
    *,
    on_lost: Callable[[Outbox], None],
    on_close: Callable[[Outbox], None],
) -> Outbox:
    """Return the outbox of the scope's agent, whose id is "" if it is malformed; whose it is, is not known yet."""
    agent_id = parse_agent_id(query(scope).get("agentId"))
    return Outbox(
        send,
        scope["connection"].write_now,
        scope["connection"].write_frame,
        user_id=None,
        agent_id=str(agent_id or ""),
        index=hub.index,
        max_unsent=conf.MAX_UNSENT_EVENTS,
        max_unsent_bytes=conf.MAX_UNSENT_BYTES,
        retry_after_seconds=conf.RETRY_AFTER_SECONDS,
        buffered=scope["connection"].unsent_bytes,
        on_gap=hub.events.catch_up,
        on_lost=on_lost,
        on_close=on_close,
        on_new_token=hub.fan_out.send_newest,
        on_unsent=hub.shares.note_unsent,
    )


def belongs_to(outbox: Outbox, credential: Credential, scope: Mapping[str, Any]) -> None:
    """Note whose token has opened the socket, and whether it watches."""
    outbox.user_id = getattr(credential.user, "pk", None)
    outbox.family_id, outbox.read_only = credential.family_id, credential.read_only
    # One whose mode is not known watches: of the two, that can end nobody's socket.
    outbox.watches = credential.read_only or query(scope).get("mode", OWN) != OWN
