"""Closes a stream when work for it fails. All work on a stream runs under this guard."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from positions import errors
from realtime.hub.outbox import Outbox
from realtime.protocol.messages import CloseReason, ErrorCode

logger = logging.getLogger(__name__)

DATABASE_UNAVAILABLE = "positions are unavailable right now"


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
    try:
        await work
    except Refused as refused:
        outbox.refuse(refused.reason, refused.code, refused.message)
    except errors.DATABASE_UNAVAILABLE as error:
        logger.warning("agent %s: the database is unavailable: %s", outbox.agent_id, error)
        outbox.refuse(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, DATABASE_UNAVAILABLE)
    except Exception:
        logger.exception("agent %s: a socket failed", outbox.agent_id)
        outbox.refuse(
            CloseReason.INTERNAL_ERROR, ErrorCode.INTERNAL_ERROR, "something went wrong on the server"
        )
