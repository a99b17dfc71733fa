"""The floor: a bare ASGI application that writes prebuilt text. No Django, no channel layer, no look-ups.

Served as this project is: `daphne benchmarks.servers.floor:application`, or uvicorn.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from urllib.parse import parse_qs

from benchmarks import market

SNAPSHOT = json.dumps({"type": "initial_data", "data": {"positions": ["x" * 4_000]}}, separators=(",", ":"))
"""About a third of ten positions."""
TOKENS = int(os.environ.get("BENCHMARK_TOKENS", "200"))
sockets: dict[str, tuple[Any, str]] = {}
running: set[asyncio.Task[None]] = set()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        return
    agent = parse_qs(scope["query_string"].decode())["agentId"][0]
    await receive()
    await send({"type": "websocket.accept"})
    sockets[agent] = (send, market.prebuilt(market.number_of(agent), TOKENS))
    await send({"type": "websocket.send", "text": SNAPSHOT})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            del sockets[agent]
            return
        request = json.loads(message["text"])
        if request["type"] == "run":
            task = asyncio.create_task(rounds(request["rounds"], request["interval_seconds"]))
            running.add(task)
            task.add_done_callback(running.discard)


async def rounds(count: int, interval_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number * interval_seconds - loop.time()))
        for send, text in list(sockets.values()):
            await send({"type": "websocket.send", "text": text})
