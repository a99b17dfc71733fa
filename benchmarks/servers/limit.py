"""The limit: a bare picows server that writes prebuilt bytes, little more than the system calls.

`python -m benchmarks.servers.limit PORT`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks import market

TOKENS = int(os.environ.get("BENCHMARK_TOKENS", "200"))
sockets: dict[str, tuple[WSTransport, bytes]] = {}
running: set[asyncio.Task[None]] = set()


class Client(WSListener):
    def __init__(self, agent: str) -> None:
        self.agent = agent

    def on_ws_connected(self, transport: WSTransport) -> None:
        sockets[self.agent] = (transport, market.prebuilt(market.number_of(self.agent), TOKENS).encode())
        transport.send(WSMsgType.TEXT, b'{"type":"initial_data"}')

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        request = json.loads(frame.get_payload_as_utf8_text())
        if request["type"] == "run":
            task = asyncio.get_running_loop().create_task(
                rounds(request["rounds"], request["interval_seconds"])
            )
            running.add(task)
            task.add_done_callback(running.discard)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        sockets.pop(self.agent, None)


async def rounds(count: int, interval_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number * interval_seconds - loop.time()))
        for transport, text in list(sockets.values()):
            transport.send(WSMsgType.TEXT, text)


def accept(request: WSUpgradeRequest) -> Client:
    return Client(parse_qs(urlsplit(request.path.decode()).query)["agentId"][0])


async def main() -> None:
    server = await ws_create_server(accept, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
