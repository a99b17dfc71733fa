"""The load generator: `python -m benchmarks.generator`, a process of its own, controlled by its parent.

Opens sockets, counts every message of each, and reads a sample of them word for word. On picows, whose frames cost
a few µs: it must never be what limits a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import time
from collections.abc import Sequence
from typing import Any, cast

from picows import ws_connect

from benchmarks import market
from benchmarks.children import obey_async
from benchmarks.client import Client, CompactClient, InflatingClient
from benchmarks.tally import MOST_PROBLEMS, Tally

HANDSHAKE_SECONDS = 60.0
HANDSHAKES: dict[str, dict[str, str]] = {
    "": {},
    "compact": {"Sec-WebSocket-Protocol": "nexgent.compact.v1"},
    "deflate": {"Sec-WebSocket-Extensions": "permessage-deflate"},
}
"""By what clients offer."""
CLIENTS: dict[str, type[Client]] = {"": Client, "compact": CompactClient, "deflate": InflatingClient}
SLOW_RECEIVE_BUFFER_BYTES = 8_192
"""For sockets that will stop reading: a large buffer would hide that from the server for minutes."""


class Load:
    """All sockets of this process, and what they received."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.sockets: list[Client] = []
        """Those that have received their `initial_data`."""
        self.counted: list[Client] = []
        self._began = 0.0
        self._cpu_seconds = 0.0

    async def connect(
        self,
        *,
        url: str,
        first: int,
        count: int,
        tokens: int,
        at_once: int,
        slow: int = 0,
        offers: str = "",
        missed: int = 0,
    ) -> Any:
        """Open sockets for `count` agents from number `first` on, the first `slow` of them easily blocked.

        Returns once each has its `initial_data`, or the events that it has `missed`, or after two minutes.
        """
        started = time.perf_counter()
        turn = asyncio.Semaphore(at_once)
        already = len(self.sockets)

        async def open_one(number: int, *, easily_blocked: bool) -> None:
            agent = market.agent_id(number, tokens)
            options: dict[str, Any] = {"extra_headers": HANDSHAKES[offers]}
            if easily_blocked:
                options["socket_factory"] = _small_socket
            async with turn:
                _, listener = await ws_connect(
                    lambda: CLIENTS[offers](self.tally, number, agent, tokens, missed),
                    url.format(agent=agent),
                    websocket_handshake_timeout=HANDSHAKE_SECONDS,
                    **options,
                )
                client = cast(Client, listener)
                await asyncio.wait_for(client.begun.wait(), HANDSHAKE_SECONDS)
                self.sockets.append(client)

        outcomes = await asyncio.gather(
            *(open_one(first + place, easily_blocked=place < slow) for place in range(count)),
            return_exceptions=True,
        )
        failures = [outcome for outcome in outcomes if outcome is not None]
        for failure in failures[:MOST_PROBLEMS]:
            self.tally.problem(f"a socket was not opened: {failure!r}")
        return {
            "opened": len(self.sockets) - already,
            "failed": len(failures),
            "seconds": time.perf_counter() - started,
            "problems": self.tally.take_problems(),
        }

    async def expect(
        self, *, rounds: int, first_round: int, fixed: bool, timed: bool = False, skip: int = 0
    ) -> Any:
        """Start counting: this many rounds for each socket except the first `skip`, from this round on.

        `fixed`: every message is of the first round of all. `timed`: note when each came.
        """
        for each in self.sockets:
            each.received = 0
            each.round = first_round - 1
            each.arrivals = []
        self.counted = self.sockets[skip:]
        for each in self.sockets:
            each.counts = False
        for each in self.counted:
            each.counts = True
            each.done = False
        self.tally.expect(
            clients=len(self.counted), rounds=rounds, first_round=first_round, fixed=fixed, timed=timed
        )
        self._cpu_seconds = time.process_time()
        self._began = time.perf_counter()
        return None

    async def trigger(self, **command: Any) -> Any:
        """Tell a server that generates its own prices to send rounds; return when it was told."""
        self.sockets[0].say(json.dumps({"type": "run", **command}))
        return time.monotonic()

    async def finish(self, *, timeout_seconds: float) -> Any:
        """Wait until everything expected has arrived, or for the timeout; return the counts and the problems."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.tally.all_done.wait(), timeout_seconds)
        elapsed = time.perf_counter() - self._began
        odd = [each for each in self.counted if not each.done]
        if odd:
            self.tally.problem(
                f"{len(odd)} of {len(self.counted)} sockets have not received the last round: the first received"
                f" {odd[0].received} of {self.tally.rounds}"
            )
        return {
            "delivered": self.tally.received,
            "skipped": self.tally.rounds * len(self.counted) - self.tally.received,
            "repeated": self.tally.repeated,
            "bytes": self.tally.received_bytes,
            "seconds": elapsed,
            "busy": (time.process_time() - self._cpu_seconds) / elapsed,
            "arrivals": [each.arrivals for each in self.counted] if self.tally.timed else [],
            "problems": self.tally.take_problems(),
        }

    async def marks_seen(self, *, count: int, wait_seconds: float) -> Any:
        """Wait for this many position events; return the agent, mark and arrival time of each."""
        end = time.monotonic() + wait_seconds
        marks = self.tally.marks
        while len(marks) < count and time.monotonic() < end:  # noqa: ASYNC110  to check costs nothing here
            await asyncio.sleep(0.02)
        self.tally.marks = []
        return {"marks": marks, "problems": self.tally.take_problems()}

    async def pause(self, *, count: int) -> Any:
        """Stop reading on the first sockets."""
        for each in self.sockets[:count]:
            each.transport.underlying_transport.pause_reading()
        return None

    async def resume(self, *, count: int) -> Any:
        for each in self.sockets[:count]:
            each.transport.underlying_transport.resume_reading()
        return None

    async def disconnect(self) -> Any:
        """Close every socket."""
        leaving, self.sockets = self.sockets, []
        for each in leaving:
            each.leaving = True
            each.transport.disconnect()
        await asyncio.gather(*(each.transport.wait_disconnected() for each in leaving))
        return None


def _small_socket(_: Any) -> socket.socket:
    made = socket.socket()
    made.setblocking(False)  # noqa: FBT003  it has no name
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_RECEIVE_BUFFER_BYTES)
    return made


def _commands(load: Load) -> dict[str, Any]:
    names: Sequence[str] = (
        "connect",
        "expect",
        "trigger",
        "finish",
        "marks_seen",
        "pause",
        "resume",
        "disconnect",
    )
    return {name: getattr(load, name) for name in names}


async def main() -> None:
    gc.disable()  # it has no cycles; looking for them among all clients took 0.2 to 0.8 s at a time
    await obey_async(_commands(Load()))


if __name__ == "__main__":
    asyncio.run(main())
