"""The capacity model: from the measured unit costs to processes, bandwidth and queries, up to a million sockets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.report import Report
from benchmarks.workloads.growth import CELLS

BUSY = 0.6
"""How much of a core a server process may use on average: rounds arrive in bursts, and clients reconnect in storms."""
RECONCILE_SECONDS = 5.0
"""NEXGENT_RECONCILE_SECONDS."""
CONNECTS_PER_SOCKET_HOUR = 2.0
"""Access tokens last 30 minutes; a client that does not refresh its token comes back as often."""
CONNECTIONS = 12
"""NEXGENT_DATABASE_POOL_MAX."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCosts:
    """The measurements of one server."""

    message_us: float
    """A delivered price message of ten tokens."""
    message_bytes: float
    compact_us: float
    """The same with compact prices."""
    compact_bytes: float
    token_us: float
    """A token, per round and process: decoding and encoding it."""
    token_bytes: float
    """A token, per round, from Valkey to each process."""
    idle_us: float
    """An idle socket, per second: pings, reconciliation."""
    socket_kb: float
    process_mb: float
    connect_ms: float
    statements: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    sockets: int
    tokens: int
    rounds_per_second: float
    events_per_second: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    processes: int
    sockets_per_process: int
    memory_gb: float
    valkey_mb_per_second: float
    out_gbit_per_second: float
    compact_gbit_per_second: float
    """To clients that all have compact prices."""
    statements_per_second: float
    connections: int


def unit_costs(reports: Mapping[str, Report], row: str = "ours-uvicorn") -> UnitCosts | None:
    """Extract the unit costs from the reports; None if one is missing."""
    figures = {name: value for report in reports.values() for name, value in report.figures.items()}
    idle_us = figures.get(f"{row} us a second")
    intervals = {(cell.sockets, cell.tokens): cell.interval_seconds for cell in CELLS}
    cells = {
        size: value - (idle_us or 0.0) * intervals[size]
        for name, value in figures.items()
        if (words := name.split())[:3] == [row, "us", "at"]
        and (size := (int(words[3]), int(words[5]))) in intervals
    }
    kilobytes = {
        (int(words[4]), int(words[6])): value
        for name, value in figures.items()
        if (words := name.split())[:4] == [row, "valkey", "kB", "at"]
    }
    compact = row.replace("ours", "compact")
    wanted = (
        f"{row} bytes",
        f"{compact} us",
        f"{compact} bytes",
        f"{row} kB a socket",
        f"{row} MB",
        f"{row} ms a connect",
        f"{row} statements a connect",
    )
    pairs = [(few, many) for few in cells for many in cells if few[0] == many[0] and few[1] < many[1]]
    if not pairs or idle_us is None or any(name not in figures for name in wanted):
        return None
    few, many = max(pairs, key=lambda pair: pair[1][1] - pair[0][1])
    sockets, more = few[0], many[1] - few[1]
    token_us = max(0.0, (cells[many] - cells[few]) * sockets / more)
    return UnitCosts(
        message_us=cells[few] - token_us * few[1] / sockets,
        message_bytes=figures[f"{row} bytes"],
        compact_us=figures[f"{compact} us"],
        compact_bytes=figures[f"{compact} bytes"],
        token_us=token_us,
        token_bytes=1e3 * kilobytes[many] / many[1],
        idle_us=idle_us,
        socket_kb=figures[f"{row} kB a socket"],
        process_mb=figures[f"{row} MB"],
        connect_ms=figures[f"{row} ms a connect"],
        statements=figures[f"{row} statements a connect"],
    )


def needs(load: Load, costs: UnitCosts) -> Needs:
    """Return what a load needs, if every agent gets ten prices per round.

    A core's budget: rounds · (tokens · token cost + sockets · message cost) + sockets · idle cost + connects = BUSY,
    solved for the sockets of one process.
    """
    per_socket = (load.rounds_per_second * costs.message_us + costs.idle_us) / 1e6
    per_socket += CONNECTS_PER_SOCKET_HOUR / 3600 * costs.connect_ms / 1e3
    fixed = load.rounds_per_second * load.tokens * costs.token_us / 1e6
    if fixed >= BUSY:
        raise ValueError("the tokens alone saturate a process: split them over several broadcasts")
    each = math.floor((BUSY - fixed) / per_socket)
    processes = max(1, math.ceil(load.sockets / each))
    connects = load.sockets * CONNECTS_PER_SOCKET_HOUR / 3600
    return Needs(
        processes=processes,
        sockets_per_process=math.ceil(load.sockets / processes),
        memory_gb=(load.sockets * costs.socket_kb * 1e3 + processes * costs.process_mb * 1e6) / 1e9,
        valkey_mb_per_second=load.rounds_per_second * load.tokens * costs.token_bytes * processes / 1e6,
        out_gbit_per_second=load.rounds_per_second * load.sockets * costs.message_bytes * 8 / 1e9,
        compact_gbit_per_second=load.rounds_per_second * load.sockets * costs.compact_bytes * 8 / 1e9,
        statements_per_second=processes / RECONCILE_SECONDS + connects * costs.statements,
        connections=processes * CONNECTIONS,
    )


LOADS = (
    Load(sockets=10_000, tokens=2_000, rounds_per_second=1 / 1.5),
    Load(sockets=100_000, tokens=10_000, rounds_per_second=1 / 1.5),
    Load(sockets=1_000_000, tokens=20_000, rounds_per_second=1 / 1.5),
)


def text(costs: UnitCosts) -> str:
    """Return the unit costs and the worked examples as Markdown."""
    lines = [
        "Unit costs of one process on uvicorn, from the tables above:",
        "",
        f"- a price message of ten tokens: {costs.message_us:.1f} µs, {costs.message_bytes:,.0f} bytes to the client",
        (
            f"- the same with compact prices: {costs.compact_bytes:,.0f} bytes; to one of 1,000 sockets"
            f" {costs.compact_us:.1f} µs, idle cost included"
        ),
        f"- a token, per round and process: {costs.token_us:.2f} µs, {costs.token_bytes:.0f} bytes from Valkey",
        (
            f"- a socket: {costs.socket_kb:.0f} kB, in addition to {costs.process_mb:.0f} MB for the process,"
            f" and {costs.idle_us:.1f} µs per second"
        ),
        f"- a connect: {costs.connect_ms:.1f} ms, {costs.statements:.0f} statements",
        (
            f"- assumed: {BUSY:.0%} of a core, {CONNECTS_PER_SOCKET_HOUR:g} connects per socket and hour,"
            f" reconciliation every {RECONCILE_SECONDS:g} s, {CONNECTIONS} database connections per process,"
            " all prices change in every round"
        ),
        "",
        (
            "| sockets | tokens | processes (cores) | sockets each | memory, GB | Valkey, MB/s | to clients, Gbit/s"
            " | with compact prices, Gbit/s | statements/s | database connections |"
        ),
        "| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for load in LOADS:
        found = needs(load, costs)
        cells = (
            *(
                f"{number:,}"
                for number in (load.sockets, load.tokens, found.processes, found.sockets_per_process)
            ),
            f"{found.memory_gb:,.1f}",
            f"{found.valkey_mb_per_second:,.1f}",
            f"{found.out_gbit_per_second:,.2f}",
            f"{found.compact_gbit_per_second:,.2f}",
            f"{found.statements_per_second:,.0f}",
            f"{found.connections:,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
