"""One client of the load generator: counts its messages, and fully checks a sample of them."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
import zlib
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from benchmarks import market
from benchmarks.tally import Tally

SAMPLE = 97
"""One message in this many is fully parsed; a prime, so that every socket is sampled."""
MARK = re.compile(rb'"dcaCount": ?(\d+)')


class Client(WSListener):
    """One agent's client."""

    transport: WSTransport
    PRICES, ROUND, PER_TOKEN = b"price_update_batch", re.compile(rb'"price": ?0\.(\d{6})'), b'"tokenAddress"'
    """How its price messages are known, where they have the round, and what they have once for each token."""

    def __init__(self, tally: Tally, number: int, agent: str, tokens: int, missed: int = 0) -> None:
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
        self.missed = missed
        """How many events it waits for, instead of a snapshot."""
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
        self.take(frame.get_payload_as_bytes(), frame.payload_size)

    def take(self, payload: bytes, size_bytes: int) -> None:
        """Handle a message that took so many bytes on the wire."""
        kind = payload[:40]
        if self.PRICES in kind:
            if self.counts:
                self.prices(payload, size_bytes)
        elif b"position_update" in kind:
            if self.missed:
                self.missed -= 1
                if not self.missed:
                    self.begun.set()
                return
            mark = MARK.search(payload)
            self.tally.marks.append((self.agent, int(mark[1]) if mark else -1, time.monotonic()))
        elif b'"ping"' in kind:
            self.say('{"type":"pong","timestamp":"2026-11-25T09:00:00.000Z"}')
        elif b"initial_data" in kind:
            self.learn(payload)
            self.begun.set()
        elif b'"error"' in kind or b'"closing"' in kind:
            self.tally.problem(payload.decode()[:200])

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.leaving:
            self.tally.problem("a socket ended")

    def say(self, text: str) -> None:
        self.transport.send(WSMsgType.TEXT, text.encode())

    def learn(self, payload: bytes) -> None:
        """Take what a snapshot says."""

    def prices(self, payload: bytes, size_bytes: int = 0) -> None:
        """Count a price message, and check it if it is in the sample."""
        found = self.ROUND.search(payload)
        of = int(found[1]) if found else -1
        if not self.tally.fixed:
            if of == self.round or payload.count(self.PER_TOKEN) < len(self._held):
                self.tally.repeated += 1  # costs its server, and counts for nothing
                return
            if of < self.round:
                self.tally.problem(f"agent {self.agent} was sent round {of} after round {self.round}")
            self.round = of
        self.received += 1
        self.done = self.received == self.tally.rounds if self.tally.fixed else of == self.tally.last_round
        if self.tally.timed:
            place = of - (self.tally.last_round - self.tally.rounds + 1)
            skipped = 0 if self.tally.fixed else place - len(self.arrivals)
            self.arrivals += [*[math.nan] * skipped, time.monotonic()]
        if self.tally.received % SAMPLE == 0:
            self._read(payload, of)
        self.tally.count(size_bytes or len(payload), done=self.done)

    def _read(self, payload: bytes, round_number: int) -> None:
        updates = self.updates(payload)
        if sorted(update["tokenAddress"] for update in updates) != sorted(self._held):
            self.tally.problem(f"agent {self.agent} was sent tokens that are not its own: {payload[:300]!r}")
            return
        for update in updates:
            if not market.is_price(float(update["price"]), round_number, self._held[update["tokenAddress"]]):
                self.tally.problem(f"agent {self.agent}: {update} is not the price of round {round_number}")

    def updates(self, payload: bytes) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(payload)["data"]["updates"]
        return found


class CompactClient(Client):
    """One with compact prices."""

    PRICES, ROUND, PER_TOKEN = b'"prices"', re.compile(rb"\[\d+,0\.(\d{6})"), b",0."

    def learn(self, payload: bytes) -> None:
        self._tokens = {
            each["priceKey"]: each["tokenAddress"] for each in json.loads(payload)["data"]["positions"]
        }

    def updates(self, payload: bytes) -> list[dict[str, Any]]:
        return [
            {"tokenAddress": self._tokens.get(row[0]), "price": row[1]} for row in json.loads(payload)["u"]
        ]


class InflatingClient(Client):
    """One that has its messages compressed (RFC 7692)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if not frame.rsv1:
            super().on_ws_frame(transport, frame)
            return
        payload = self._inflate(frame.get_payload_as_bytes() + b"\x00\x00\xff\xff")
        self.take(payload, frame.payload_size)
