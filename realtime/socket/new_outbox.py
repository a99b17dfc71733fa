"""The outbox of a new socket: its bounds from the settings, and who is told what happens to it."""

from __future__ import annotations

from collections.abc import Callable

from realtime.conf import conf
from realtime.hub.hub import Hub
from realtime.hub.outbox import Outbox
from realtime.hub.writer import AsgiSend
from realtime.protocol.requests import parse_agent_id
from realtime.socket.connection import Connection


def new_outbox(
    hub: Hub,
    connection: Connection,
    send: AsgiSend,
    *,
    agent_id: str | None,
    on_lost: Callable[[Outbox], None],
    on_close: Callable[[Outbox], None],
) -> Outbox:
    """Return the outbox of the agent, whose id is "" if it is malformed; whose it is, is not known yet."""
    return Outbox(
        send,
        connection.write_now,
        connection.write_frame,
        user_id=None,
        agent_id=str(parse_agent_id(agent_id) or ""),
        index=hub.index,
        max_unsent=conf.MAX_UNSENT_EVENTS,
        max_unsent_bytes=conf.MAX_UNSENT_BYTES,
        retry_after_seconds=conf.RETRY_AFTER_SECONDS,
        buffered=connection.unsent_bytes,
        on_gap=hub.events.catch_up,
        on_lost=on_lost,
        on_close=on_close,
        on_new_token=hub.fan_out.send_newest,
        on_unsent=hub.shares.note_unsent,
    )
