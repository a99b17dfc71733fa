"""A client that records what it received, in which order, and the resulting state.

It behaves as docs/protocol.md asks of a client, until it is stopped: it resumes with `lastSeq`, after the
time that `closing` gives, on any server that accepts it. Numbers stay text, so that every digit counts.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.live import PATIENCE_SECONDS

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 1.0


FOLLOW_THE_MARKET = {"peak_price": max, "lowest_price": min}
"""Fields that take in the live price of the moment, without an event."""


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _with_market(name: str, stored: str | None, position: dict[str, Any]) -> str | None:
    """Return a stored extreme as it is sent at the position's live price."""
    if position["priceTimestamp"] < position["createdAt"]:  # a price from before it was opened
        return stored
    prices = [position["currentPrice"], *([] if stored is None else [stored])]
    return str(FOLLOW_THE_MARKET[name](prices, key=Decimal))


class Watcher:
    """One agent's client."""

    def __init__(
        self, agent_id: str, access: str, servers: Callable[[], list[str]], *, owns: bool = True
    ) -> None:
        self._mode = {} if owns else {"mode": "watch"}
        self.agent_id = agent_id
        self._access = access
        self._servers = servers
        """The WebSocket addresses to choose from, as a load balancer would know them."""
        self.connected = asyncio.Event()
        """Set while a snapshot or a resumed stream is there."""
        self.first_seq: int | None = None
        """The number of the first snapshot: all that comes after it counts."""
        self.seq = 0
        self.may_start_over = False
        """Whether commits were lost: what follows a fresh snapshot counts, nothing before it."""
        self._epoch = ""
        self.delivered: dict[int, tuple[str, str, dict[str, Any] | None]] = {}
        self.counted = 0
        """Events that were delivered before the stream started over."""
        self.covered: list[tuple[int, int]] = []
        """What fresh snapshots replaced: after the first number, up to the second."""
        self.state: dict[str, dict[str, Any]] = {}
        self.prices: dict[str, str] = {}
        self.prices_seen: dict[str, set[str]] = {}
        self.price_batches = 0
        self.resumes = 0
        self.fresh_snapshots = 0
        self.duplicated = 0
        self.reordered = 0
        self.lost = 0
        self.violations: list[str] = []
        self.closes: Counter[str] = Counter()
        """How connections ended, once they had begun."""
        self.refusals: Counter[str] = Counter()
        """How attempts to connect ended."""

    async def run(self) -> None:
        """Watch until cancelled."""
        delay = FIRST_DELAY_SECONDS
        while True:
            wait = await self._once()
            if self.connected.is_set():
                delay = FIRST_DELAY_SECONDS
            self.connected.clear()
            await asyncio.sleep(wait if wait is not None else delay * random.uniform(0.5, 1.5))  # noqa: S311
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)

    async def _once(self) -> float | None:
        """Connect and receive to the end; return how long the server wants us to wait, if it said so."""
        query = {"token": self._access, "agentId": self.agent_id} | self._mode
        if self.first_seq is not None:
            query |= {"lastSeq": str(self.seq), "epoch": self._epoch}
        url = f"{random.choice(self._servers())}?{urlencode(query)}"  # noqa: S311
        retry_after: float | None = None
        try:
            # No backlog between the wire and the account: what is in it was received.
            async with connect(url, open_timeout=PATIENCE_SECONDS, max_queue=None) as connection:
                while True:
                    message = await self._receive(connection)
                    if message["type"] == "closing":
                        retry_after = int(message["data"]["retryAfter"]) / 1000
                    elif message["type"] == "ping":
                        await connection.send('{"type":"pong"}')
                    else:
                        self.take(message)
        except ConnectionClosed as end:
            how = f"{end.rcvd.code} {end.rcvd.reason}" if end.rcvd else "cut off"
            (self.closes if self.connected.is_set() else self.refusals)[how] += 1
            if how == "1000 New connection established":
                self.violations.append("replaced, though no other socket was opened")
        except InvalidMessage:
            self.refusals["cut off"] += 1
        except InvalidHandshake as error:
            self.refusals[str(error)] += 1
        except (OSError, TimeoutError) as error:
            self.refusals[type(error).__name__] += 1
        return retry_after

    async def _receive(self, connection: ClientConnection) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await connection.recv(), parse_float=str, parse_int=str)
        return message

    def take(self, message: dict[str, Any]) -> None:
        """Enter a message into the account."""
        kind, data = message["type"], message.get("data", {})
        if kind == "connected":
            self._epoch = data["epoch"]
        elif kind == "initial_data":
            self._snapshot(int(data["seq"]), data["positions"])
            self.connected.set()
        elif kind == "subscribed":
            if data["recovered"]:
                self.resumes += 1
                self.connected.set()
        elif kind == "position_update":
            self._event(int(data["seq"]), data)
        elif kind == "price_update_batch":
            self._prices(data["updates"])

    def _snapshot(self, seq: int, positions: list[dict[str, Any]]) -> None:
        if self.first_seq is None:
            self.first_seq = seq
        elif self.may_start_over:
            self.fresh_snapshots += 1
            self.first_seq = seq
            self.counted += len(self.delivered)
            self.delivered.clear()
            self.covered.clear()
        elif seq < self.seq:
            self.violations.append(f"a snapshot of event {seq} after event {self.seq}")
            return
        else:
            self.fresh_snapshots += 1
            self.covered.append((self.seq, seq))
        self.seq = seq
        self.state = {position["id"]: position for position in positions}

    def _event(self, seq: int, data: dict[str, Any]) -> None:
        position = data.get("position")
        if self.first_seq is None:
            self.violations.append(f"event {seq} before the first snapshot")
            return
        if seq in self.delivered or (seq <= self.seq and self._is_covered(seq)):
            self.duplicated += 1
            self.violations.append(f"event {seq} came again, after event {self.seq}")
            return
        if seq <= self.seq:
            self.reordered += 1
            self.violations.append(f"event {seq} came after event {self.seq}")
        elif seq > self.seq + 1:
            self.violations.append(f"event {seq} came right after event {self.seq}")
        position_id = data["positionId"] if position is None else position["id"]
        self.delivered[seq] = (data["eventType"], position_id, position)
        self.seq = max(self.seq, seq)
        if position is None:
            self.state.pop(position_id, None)
        else:
            self.state[position_id] = position

    def _is_covered(self, seq: int) -> bool:
        return seq <= (self.first_seq or 0) or any(after < seq <= upto for after, upto in self.covered)

    def _prices(self, updates: list[dict[str, Any]]) -> None:
        self.price_batches += 1
        held = {position["tokenAddress"] for position in self.state.values()}
        for update in updates:
            token = update["tokenAddress"]
            if token not in held:
                self.violations.append(f"a price of {token}, which is not held")
            self.prices[token] = update["price"]
            self.prices_seen.setdefault(token, set()).add(update["price"])

    def account(self, expected: dict[str, Any]) -> None:
        """Compare what was received with the database; each difference becomes a violation."""
        if self.seq != expected["seq"]:
            self.violations.append(f"stands at event {self.seq}, the database at {expected['seq']}")
        rows = {seq: rest for seq, *rest in expected["events"] if seq > (self.first_seq or 0)}
        for seq, (kind, position_id, position) in rows.items():
            if seq not in self.delivered:
                if not self._is_covered(seq):
                    self.lost += 1
                    self.violations.append(f"event {seq} never came")
                continue
            if self.delivered[seq][:2] != (kind, position_id):
                self.violations.append(
                    f"event {seq} says {self.delivered[seq][:2]}, not {kind} {position_id}"
                )
            self._compare(f"event {seq}", self.delivered[seq][2], position)
        for seq in self.delivered.keys() - rows.keys():
            self.violations.append(f"event {seq} was never committed")
        if self.state.keys() != expected["held"].keys():
            self.violations.append(f"holds {sorted(self.state)}, the database {sorted(expected['held'])}")
        for key in self.state.keys() & expected["held"].keys():
            # The market has gone on since the last event that the client had of it.
            held = {
                name: value for name, value in expected["held"][key].items() if name not in FOLLOW_THE_MARKET
            }
            self._compare(f"position {key}", self.state[key], held)

    def _compare(self, what: str, received: dict[str, Any] | None, kept: dict[str, Any] | None) -> None:
        """Each stored field must be there to the digit; the computed ones depend on the price of the moment."""
        if received is None or kept is None:
            if received is not kept:
                self.violations.append(f"{what}: {received} instead of {kept}")
            return
        for name, value in kept.items():
            if name == "version":
                continue  # of the stored shape: clients are not sent it
            expected = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
            if name in FOLLOW_THE_MARKET and received["priceStatus"] == "live":
                expected = _with_market(name, value, received)
            if received[camel(name)] != expected:
                self.violations.append(f"{what}: {name} is {received[camel(name)]!r}, not {expected!r}")
