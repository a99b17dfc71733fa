"""Position events: from `position.save()` in another process to the socket, while prices flow."""

from __future__ import annotations

from benchmarks.report import Bar, Chart, Report, Spread, Verdict
from benchmarks.rows import BY_NAME
from benchmarks.side import Side
from benchmarks.stage import Stage
from benchmarks.workloads import ON_DJANGO, Options, note, percentile, raise_sides

SOCKETS = 500
TOKENS = 200
ROUND_SECONDS = 1.5
"""Seconds between two rounds of prices: `broadcast_prices`' own interval, and one that the tutorial way can sustain."""
SAVES_PER_SECOND = 25
BURST = 1_000
MOST_CONNECTIONS = 5


def run(stage: Stage, options: Options) -> Report:
    report = Report(
        name="events",
        title="Position events",
        columns=[
            "server",
            "p50, ms",
            "p99, ms",
            "events per second, one writer",
            "connections for 1,000 writes",
        ],
    )
    sockets = options.sockets or (100 if options.quick else SOCKETS)
    sides: list[Side] = []
    for row in options.pick(ON_DJANGO):
        # Its own agents: events of another row would be gaps to fill.
        first = len(sides) * sockets
        sides += raise_sides(stage, [row], report, sockets=sockets, tokens=TOKENS, first_agent=first)
    burst = {side.row.name: _burst(side, report, sockets, options) for side in sides}
    latencies: dict[str, list[tuple[float, float]]] = {}
    repetitions = options.times(3, 2)
    for repetition in range(1, repetitions + 1):
        note(f"repetition {repetition} of {repetitions}")
        for side in sides:
            found = _latencies(side, report, sockets, 10.0 if not options.quick else 4.0)
            if found:
                latencies.setdefault(side.row.name, []).append((percentile(found, 50), percentile(found, 99)))
    p50 = {name: Spread.of([each[0] for each in found]) for name, found in latencies.items()}
    p99 = {name: Spread.of([each[1] for each in found]) for name, found in latencies.items()}
    for name in p50:
        per_second, connections = burst[name]
        report.rows.append(
            [
                BY_NAME[name].title,
                p50[name].text(),
                p99[name].text(),
                f"{per_second:,.0f}",
                f"{connections:,}",
            ]
        )
        report.figures[f"{name} p50 ms"], report.figures[f"{name} p99 ms"] = (
            p50[name].median,
            p99[name].median,
        )
        report.figures[f"{name} events a second"] = per_second
    report.verdicts = [*_verdicts(p50, p99), *_connections(burst)]
    bars = [
        Bar(f"{BY_NAME[name].title}, p99", each, BY_NAME[name].way == "ours") for name, each in p99.items()
    ]
    bars += [
        Bar(f"{BY_NAME[name].title}, p50", each, BY_NAME[name].way == "ours") for name, each in p50.items()
    ]
    report.chart = Chart(
        "From save() in another process to the socket", "milliseconds", bars, logarithmic=True
    )
    return report


def _burst(side: Side, report: Report, sockets: int, options: Options) -> tuple[float, int]:
    """Let a bot write as fast as it can; return events per second, and the connections to Valkey that it opened."""
    note(f"{side.row.name}: {BURST:,} writes, as fast as possible")
    bot = side.start_bot()
    before = side.valkey.info("stats")["total_connections_received"]
    count = 200 if options.quick else BURST
    first = side.processes[0].first_agent
    done = bot.ask(
        "saves", first=first, agents=sockets, tokens=TOKENS, first_mark=1, count=count, interval_seconds=0.0,
        timeout_seconds=300,
    )  # fmt: skip
    opened = side.valkey.info("stats")["total_connections_received"] - before
    _check(side, report, done["began"])
    return count / done["seconds"], int(opened * BURST / count) if opened > MOST_CONNECTIONS else opened


def _latencies(side: Side, report: Report, sockets: int, seconds: float) -> list[float]:
    """Return the milliseconds from each of some saves to its socket."""
    assert side.bot is not None  # noqa: S101  the burst started it
    assert side.broadcaster is not None  # noqa: S101
    rounds = round(seconds / ROUND_SECONDS) + 1
    side.broadcaster.send(
        "rounds", first_round=side.next_round(rounds), rounds=rounds, interval_seconds=ROUND_SECONDS
    )
    done = side.bot.ask(
        "saves", first=side.processes[0].first_agent, agents=sockets, tokens=TOKENS, first_mark=10_000,
        count=round(seconds * SAVES_PER_SECOND), interval_seconds=1 / SAVES_PER_SECOND, timeout_seconds=300,
    )  # fmt: skip
    side.broadcaster.answer()
    return _check(side, report, done["began"])


def _check(side: Side, report: Report, began: list[tuple[str, int, float]]) -> list[float]:
    """Wait for the events of these saves; each must arrive once. Return the milliseconds that each took."""
    answer = side.processes[0].generator.ask("marks_seen", count=len(began), wait_seconds=30)
    came = {(agent, mark): at for agent, mark, at in answer["marks"]}
    missing = [(agent, mark) for agent, mark, _ in began if (agent, mark) not in came]
    problems = list(answer["problems"])
    if missing or len(answer["marks"]) != len(began):
        problems.append(
            f"of {len(began)} events {len(missing)} did not come, and {len(answer['marks']) - len(came)} came twice"
        )
    if problems:
        report.void.append(f"{side.row.name}: {'; '.join(problems)}")
        note(f"void: {side.row.name}: {problems[0]}")
        return []
    return [1e3 * (came[agent, mark] - at) for agent, mark, at in began]


def _verdicts(p50: dict[str, Spread], p99: dict[str, Spread]) -> list[Verdict]:
    verdicts = []
    for ours, theirs in (
        ("ours-daphne", "tutorial-core-daphne"),
        ("ours-daphne", "tutorial-pubsub-daphne"),
        ("ours-uvicorn", "tutorial-pubsub-uvicorn"),
    ):
        for what, spreads, bar, times in (
            ("p50", p50, "no slower than", 1.0),
            ("p99", p99, "at least 2 × faster than", 2.0),
        ):
            name = f"{what} of {BY_NAME[ours].title} is {bar} {BY_NAME[theirs].title}"
            if ours not in spreads or theirs not in spreads:
                verdicts.append(Verdict(name, "a row is missing", None))
                continue
            mine, other = spreads[ours].median, spreads[theirs].median
            verdicts.append(Verdict(name, f"{mine:.1f} ms against {other:.1f} ms", other >= times * mine))
    return verdicts


def _connections(burst: dict[str, tuple[float, int]]) -> list[Verdict]:
    opened = [burst[name][1] for name in ("ours-daphne", "ours-uvicorn") if name in burst]
    bar = f"1,000 writes open at most {MOST_CONNECTIONS} connections"
    if not opened:
        return [Verdict(bar, "a row is missing", None)]
    return [Verdict(bar, " and ".join(map(str, opened)), max(opened) <= MOST_CONNECTIONS)]
