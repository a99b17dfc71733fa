"""Calls to Redis or Valkey end when they are cancelled."""

from __future__ import annotations

import asyncio

from positions.valkey import async_client, close_async_client
from testbed.processes import PATIENCE_SECONDS

STEPS = 50
"""Of the event loop: more than a call takes."""


async def test_call_that_is_cancelled_at_any_step_ends():
    """Else a SIGTERM at that moment would be lost, and the process would stay."""

    async def calls() -> None:
        while True:
            await async_client().ping()

    await async_client().ping()  # connects
    for steps in range(STEPS):
        calling = asyncio.ensure_future(calls())
        for _ in range(steps):
            await asyncio.sleep(0)
        calling.cancel()
        await asyncio.wait({calling}, timeout=PATIENCE_SECONDS)
        assert calling.cancelled(), f"cancelled after {steps} steps, it goes on"
    await close_async_client()
