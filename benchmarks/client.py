"""One client of the load generator: counts its messages, and fully checks a sample of them."""

from __future__ import annotations

import asyncio
import json
import re
import time

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from benchmarks import market
from benchmarks.tally import Tally

SAMPLE = 97
"""One message in this many is fully parsed; a prime, so that every socket is sampled."""
ROUND = re.compile(rb'"price": ?0\.(\d{6})')
MARK = re.compile(rb'"dcaCount": ?(\d+)')


class Client(WSListener):
    """One agent's client."""

    transport: WSTransport

    def __init__(self, tally: Tally, number: int, agent: str, tokens: int) -> None:
        self.tally = tally
        self.agent = agent
        self.received = 0
        self.round = 0
        """The last one received."""
        self.counts = False
        self.done = False
        self.leaving = False
        self.arrivals: list[float] = []
        self.begun = asyncio.Event()
        self._held = {market.token(held): held for held in market.holdings(number, tokens)}

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            if frame.msg_type is WSMsgType.CLOSE and not self.leaving:
                self.tally.problem(
                    f"a socket was closed: {frame.get_close_code()} {frame.get_close_reason()}"
                )
            return
        payload = frame.get_payload_as_bytes()
        kind = payload[:40]
        if b"price_update_batch" in kind:
            if self.counts:
                self.prices(payload)
        elif b"position_update" in kind:
            mark = MARK.search(payload)
            self.tally.marks.append((self.agent, int(mark[1]) if mark else -1, time.monotonic()))
        elif b'"ping"' in kind:
            self.say('{"type":"pong","timestamp":"2026-11-25T09:00:00.000Z"}')
        elif b"initial_data" in kind:
            self.begun.set()
        elif b'"error"' in kind or b'"closing"' in kind:
            self.tally.problem(payload.decode()[:200])

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.leaving:
            self.tally.problem("a socket ended")

    def say(self, text: str) -> None:
        self.transport.send(WSMsgType.TEXT, text.encode())

    def prices(self, payload: bytes) -> None:
        """Count a price message, and check it if it is in the sample."""
        found = ROUND.search(payload)
        of = int(found[1]) if found else -1
        if not self.tally.fixed:
            if of == self.round or payload.count(b'"tokenAddress"') < len(self._held):
                self.tally.repeated += 1  # costs its server, and counts for nothing
                return
            if of < self.round:
                self.tally.problem(f"agent {self.agent} was sent round {of} after round {self.round}")
            self.round = of
        self.received += 1
        self.done = self.received == self.tally.rounds if self.tally.fixed else of == self.tally.last_round
        if self.tally.timed:
            self.arrivals.append(time.monotonic())
        if self.tally.received % SAMPLE == 0:
            self._read(payload, of)
        self.tally.count(len(payload), done=self.done)

    def _read(self, payload: bytes, round_number: int) -> None:
        updates = json.loads(payload)["data"]["updates"]
        if sorted(update["tokenAddress"] for update in updates) != sorted(self._held):
            self.tally.problem(f"agent {self.agent} was sent tokens that are not its own: {payload[:300]!r}")
            return
        for update in updates:
            if not market.is_price(float(update["price"]), round_number, self._held[update["tokenAddress"]]):
                self.tally.problem(f"agent {self.agent}: {update} is not the price of round {round_number}")
