"""Closes a stream when work for it fails. All work on a stream runs under this guard."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Collection

from positions import errors
from realtime.hub.outbox import Outbox
from realtime.protocol.messages import CloseReason, ErrorCode

logger = logging.getLogger(__name__)

DATABASE_UNAVAILABLE = "positions are unavailable right now"
WENT_WRONG = "something went wrong on the server"


class Refused(Exception):
    """The stream cannot start or continue: the reason for its close, and the error sent to the client."""

    def __init__(self, reason: CloseReason, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.message = message


async def guarded(outbox: Outbox, work: Awaitable[None]) -> None:
    """Await work for a stream; close the stream if it fails.

    A refusal closes with its own reason, an unavailable database with 1013, and everything else, which is logged with
    a traceback, with 1011. Safe to cancel.
    """
    await all_guarded((outbox,), work)


async def all_guarded(outboxes: Collection[Outbox], work: Awaitable[None]) -> None:
    """Await work for several streams, as `guarded` does; close those that are in `outboxes` when it fails."""
    try:
        await work
    except Refused as refused:
        _refuse(outboxes, refused)
    except errors.DATABASE_UNAVAILABLE as error:
        logger.warning("agent %s: the database is unavailable: %s", _agent(outboxes), error)
        _refuse(outboxes, Refused(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, DATABASE_UNAVAILABLE))
    except Exception:
        logger.exception("agent %s: a socket failed", _agent(outboxes))
        _refuse(outboxes, Refused(CloseReason.INTERNAL_ERROR, ErrorCode.INTERNAL_ERROR, WENT_WRONG))


def _refuse(outboxes: Collection[Outbox], refused: Refused) -> None:
    for outbox in list(outboxes):
        outbox.refuse(refused.reason, refused.code, refused.message)


def _agent(outboxes: Collection[Outbox]) -> str:
    return next((outbox.agent_id for outbox in outboxes), "")
