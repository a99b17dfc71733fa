"""The result of one experiment, and what of it breaks a promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.reliability.listeners import Listener
from tests.reliability.watcher import Watcher

MOST_OUTAGES = 2
"""That a process names during one fault, a line each: of the database, and of Valkey."""


@dataclass
class Account:
    """The result of one experiment."""

    fault: str
    server: str
    sockets: int
    written: int = 0
    """Events committed since each client's first snapshot."""
    delivered: int = 0
    resumes: int = 0
    fresh_snapshots: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    rolled_back: int = 0
    seconds: int = 0
    price_batches: int = 0
    violations: list[str] = field(default_factory=list)
    """Everything that a client saw and should not have, the above included."""
    writer_failures: dict[str, int] = field(default_factory=dict)
    closes: Counter[str] = field(default_factory=Counter)
    """How connections ended that had begun."""
    refusals: Counter[str] = field(default_factory=Counter)
    """How attempts to connect ended."""
    log: str = ""
    access_in_log: bool = False

    def problems(self, *, writes_fail: bool, sockets_end: bool) -> list[str]:
        """Return what was promised and not kept. Which faults may fail writes or end sockets, the caller knows."""
        found = self.violations[:20]
        if self.lost or self.duplicated or self.reordered or len(self.violations) > 20:
            found.append(f"{self.lost} lost, {self.duplicated} duplicated, {self.reordered} reordered")
        if self.writer_failures and not writes_fail:
            found.append(f"writes failed: {self.writer_failures}")
        if self.closes and not sockets_end:
            found.append(f"sockets ended: {dict(self.closes)}")
        # A browser can read nothing of a handshake that is refused.
        found += [f"handshake: {how}" for how in self.refusals if "rejected" in how]
        if "Traceback" in self.log:
            found.append("traceback: " + self.log[self.log.index("Traceback") :][:4000])
        if self.access_in_log:
            found.append("a token is in a log")
        return found

    def enter_watcher(self, watcher: Watcher, report: dict[str, Any]) -> None:
        """Add what one client had, compared with what the database has."""
        if not watcher.connected.is_set():
            watcher.violations.append("is not connected at the end")
        watcher.account(report)
        self._enter(watcher, watcher.first_seq, report)
        self.delivered += watcher.counted + len(watcher.delivered)
        self.price_batches += watcher.price_batches
        self.violations += [f"agent {watcher.agent_id}: {what}" for what in watcher.violations]

    def enter_listener(self, listener: Listener, report: dict[str, Any]) -> None:
        violations = list(listener.violations)
        if not listener.connected:
            violations.append("is not connected at the end")
        if listener.seq != report["seq"]:
            violations.append(f"stands at event {listener.seq}, the database at {report['seq']}")
            self.lost += max(0, report["seq"] - listener.seq)
        rows = {seq: position_id for seq, _, position_id, _ in report["events"]}
        for seq, position in listener.positions.items():
            if seq in rows and rows[seq] != position.decode():
                violations.append(f"event {seq} is of position {position.decode()}, not {rows[seq]}")
        listener.positions.clear()  # shared by all of an agent: looked at once
        self._enter(listener, listener.first_seq, report)
        self.delivered += listener.delivered
        self.violations += [f"a listener of agent {listener.agent_id}: {what}" for what in violations]

    def _enter(self, client: Watcher | Listener, first_seq: int | None, report: dict[str, Any]) -> None:
        self.written += sum(seq > (first_seq or 0) for seq, *_ in report["events"])
        self.resumes += client.resumes
        self.fresh_snapshots += client.fresh_snapshots
        self.lost += client.lost
        self.duplicated += client.duplicated
        self.reordered += client.reordered
        self.closes += client.closes
        self.refusals += client.refusals

    def enter_logs(self, logs: Mapping[str, str], access: str) -> None:
        """Add what each process has logged."""
        self.log = "".join(logs.values())
        for process, text in logs.items():
            begun = [line for line in text.splitlines() if " WARNING " in line and "outage=" in line]
            if len(begun) > MOST_OUTAGES:
                self.violations += [f"{process} names outages {len(begun)} times:", *begun[:5]]
        self.access_in_log = access in self.log
