"""Growth: cost of a message as sockets and tokens grow, Valkey's load, and the duration of the broadcaster's round."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from functools import partial
from typing import NamedTuple

from benchmarks.children import ChildError
from benchmarks.report import Bar, Chart, Report, Spread, Verdict, at_most
from benchmarks.rows import BY_NAME
from benchmarks.side import Side
from benchmarks.stage import Stage
from benchmarks.workloads import Costs, Options, note, raise_sides
from testbed.backends import Valkey
from testbed.processes import ROOT

ROUND_SECONDS = 1.5
"""The interval that the broadcaster must keep."""
WIDEST_TOKENS = 20_000
OPEN_POSITIONS = 100_000
IDLE_SECONDS = 30.0
"""One ping and pong per socket; six rounds of the reconciler."""


class Cell(NamedTuple):
    sockets: int
    tokens: int
    interval_seconds: float
    """Fewer rounds per second if they are large, so that the server of each cell is idle at times."""

    def __str__(self) -> str:
        return f"{self.sockets:,} sockets, {self.tokens:,} tokens"


CELLS = (
    Cell(100, 200, 0.05),
    Cell(1_000, 200, 0.1),
    Cell(5_000, 200, 0.5),
    Cell(1_000, 2_000, 0.2),
    Cell(5_000, 20_000, 1.0),
)
QUICK_CELLS = (Cell(100, 200, 0.05), Cell(1_000, 200, 0.1), Cell(1_000, 2_000, 0.2))


def run(stage: Stage, options: Options) -> Report:
    report = Report(
        name="growth",
        title="Growth",
        columns=[
            "server",
            "sockets",
            "tokens",
            "CPU µs per delivered message",
            "of which idle cost",
            "Valkey: CPU ms per round",
            "kB sent per round",
        ],
    )
    # On daphne only on request: each takes five minutes, nearly all of it for connecting.
    for row in options.pick(("ours-uvicorn", "ours-daphne") if options.rows else ("ours-uvicorn",)):
        cells: tuple[Cell, ...] = QUICK_CELLS if options.quick else CELLS
        if options.sockets:
            cells = (Cell(options.sockets, 200, 0.1),)
        sides: dict[Cell, Side] = {}
        for cell in cells:
            for side in raise_sides(stage, [row], report, sockets=cell.sockets, tokens=cell.tokens):
                sides[cell] = side
        costs = Costs(report)
        work: dict[str, list[ValkeyWork]] = {}
        idle: dict[Cell, float] = {}
        repetitions = options.times(4, 2)
        for repetition in range(repetitions + 1):
            note(
                f"{row.name}: "
                + (f"repetition {repetition} of {repetitions}" if repetition else "warming up")
            )
            for cell, side in sides.items():
                rounds = options.rounds or max(3, round(2.0 / cell.interval_seconds))
                if not repetition:
                    side.rounds(3, cell.interval_seconds)
                    continue
                before = ValkeyWork.of(side)
                costs.add(str(cell), partial(side.rounds, rounds, cell.interval_seconds))
                work.setdefault(str(cell), []).append(ValkeyWork.of(side).since(before, rounds))
            if not repetition:
                note(f"{row.name}: {IDLE_SECONDS:g} s idle")
                idle = _idle(sides)
        _add(report, row.name, cells, costs.spreads(), work, idle)
        for side in sides.values():
            side.close()
    if not options.rows or "broadcaster" in options.rows:
        report.verdicts.append(_broadcaster(stage, report, options))
    return report


def _idle(sides: dict[Cell, Side]) -> dict[Cell, float]:
    """Return the idle cost of a message's socket between two rounds, in CPU microseconds."""
    for side in sides.values():
        side.settle()
    before, begin = {cell: side.cpu_seconds() for cell, side in sides.items()}, time.monotonic()
    time.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - begin
    return {
        cell: 1e6 * (side.cpu_seconds() - before[cell]) / seconds / cell.sockets * cell.interval_seconds
        for cell, side in sides.items()
    }


class ValkeyWork(NamedTuple):
    cpu_ms: float
    out_kb: float

    @classmethod
    def of(cls, side: Side) -> ValkeyWork:
        info = side.valkey.info()
        cpu = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
        return cls(1e3 * cpu, info["total_net_output_bytes"] / 1e3)

    def since(self, before: ValkeyWork, rounds: int) -> ValkeyWork:
        return ValkeyWork((self.cpu_ms - before.cpu_ms) / rounds, (self.out_kb - before.out_kb) / rounds)


def _add(
    report: Report,
    name: str,
    cells: tuple[Cell, ...],
    spreads: dict[str, Spread],
    work: dict[str, list[ValkeyWork]],
    idle: dict[Cell, float],
) -> None:
    server = BY_NAME[name].server
    bars = []
    valkey: dict[Cell, float] = {}
    for cell in cells:
        if str(cell) not in spreads:
            continue
        cpu = Spread.of([each.cpu_ms for each in work[str(cell)]])
        kilobytes = Spread.of([each.out_kb for each in work[str(cell)]])
        spread = spreads[str(cell)]
        figures = [
            f"{cell.sockets:,}",
            f"{cell.tokens:,}",
            spread.text(),
            f"{idle[cell]:.1f}",
            cpu.text(),
            f"{kilobytes.median:,.0f}",
        ]
        report.rows.append([BY_NAME[name].title, *figures])
        bars.append(Bar(f"{cell.sockets:,} sockets, {cell.tokens:,} tokens, {server}", spread, ours=True))
        valkey[cell] = kilobytes.median
        report.figures[f"{name} us at {cell.sockets} sockets {cell.tokens} tokens"] = spread.median
        report.figures[f"{name} valkey ms at {cell.sockets} sockets {cell.tokens} tokens"] = cpu.median
        report.figures[f"{name} valkey kB at {cell.sockets} sockets {cell.tokens} tokens"] = kilobytes.median
    present = [cell for cell in cells if str(cell) in spreads]
    bar = f"on {server} a batch, without its socket's idle cost, costs at most 1.3 × the first row's in every row"
    if len(present) < 2:
        report.verdicts.append(Verdict(bar, "a row is missing", None))
        return
    costs = {cell: spreads[str(cell)].median - idle[cell] for cell in present}
    first, most = costs[present[0]], max(costs.values())
    report.verdicts.append(
        at_most(bar, most / first, 1.3, figures=f"{most:.1f} / {first:.1f} = {most / first:.2f}")
    )
    same_tokens = [cell for cell in present if cell.tokens == present[0].tokens]
    if len(same_tokens) > 1:
        few, many = same_tokens[0], same_tokens[-1]
        report.verdicts.append(
            at_most(
                f"on {server} what Valkey sends per round does not grow with agents, within 10 %",
                valkey[many] / valkey[few],
                1.1,
                figures=f"{valkey[few]:.0f} kB at {few.sockets:,} sockets, {valkey[many]:.0f} kB at {many.sockets:,}",
            )
        )
    chart = Chart(
        "What a price message costs as sockets and tokens grow",
        "CPU µs of the server per delivered message",
        bars,
    )
    if report.chart is None:
        report.chart = chart
    else:
        report.chart.bars += bars


TOOK = re.compile(r"(\d+) tokens, \d+ priced, .* (\d+) errors?, took ([\d.]+) s")


class Round(NamedTuple):
    """What `broadcast_prices` printed of one of its rounds."""

    tokens: int
    errors: int
    seconds: float


def broadcast_rounds(stage: Stage, valkey: Valkey, rounds: int) -> list[Round]:
    """Run `manage.py broadcast_prices` for so many rounds, and return them. Raises ChildError."""
    command = ["manage.py", "broadcast_prices", "--source", "simulated", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, *command, "--interval", str(ROUND_SECONDS), "--rounds", str(rounds)],
        env={**stage.environment, "REDIS_URL": valkey.url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=rounds * ROUND_SECONDS * 5 + 60,
    )
    took = [Round(int(each[1]), int(each[2]), float(each[3])) for each in TOOK.finditer(done.stdout)]
    if done.returncode or len(took) != rounds:
        raise ChildError(f"broadcast_prices: {done.stdout[-1000:]} {done.stderr[-1000:]}")
    return took


def _broadcaster(stage: Stage, report: Report, options: Options) -> Verdict:
    """Run `manage.py broadcast_prices` over many tokens and positions; judge whether it keeps its rounds."""
    tokens = WIDEST_TOKENS // (10 if options.quick else 1)
    positions = OPEN_POSITIONS // (10 if options.quick else 1)
    note(f"broadcast_prices: {tokens:,} tokens, {positions:,} open positions")
    other = tokens + 1  # a market of its own: its tokens are those of the other, one more
    stage.populate(agents=positions // 10, tokens=other)
    rounds = 4 if options.quick else 8
    valkey = stage.start_valkey()
    took = broadcast_rounds(stage, valkey, rounds)
    valkey.close()
    if any(each.errors for each in took):
        raise ChildError(f"broadcast_prices: {took}")
    seconds = Spread.of([each.seconds for each in took[1:]])  # the first begins every token's walk
    report.figures["broadcaster seconds a round"] = seconds.median
    report.figures["broadcaster tokens"] = took[-1].tokens
    held = f"{took[-1].tokens:,} tokens and at least {positions:,} open positions"
    bar = f"the broadcaster keeps a {ROUND_SECONDS} s round with {held}"
    return at_most(bar, seconds.most, ROUND_SECONDS, figures=f"a round takes {seconds.text(2)} s")
