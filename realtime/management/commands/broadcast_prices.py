"""`manage.py broadcast_prices`: the process that runs the price feed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from django.core.management import CommandError, CommandParser

from positions.deadlines import answers_within
from positions.history.recorder import Recorder
from positions.management import output
from positions.prices.feed import PriceFeed
from positions.prices.garbage import collected_between_rounds
from positions.prices.lease import FeedLease
from positions.prices.quotes import PriceSource, SourceError
from positions.prices.report import FeedReport
from positions.prices.rounds import Round
from positions.prices.simulated import SimulatedSource
from positions.prices.sources import AUTO, make_source, names, resolve_auto
from positions.valkey import Unavailable, close_async_client
from realtime.conf import conf
from realtime.monitoring.metrics import counts
from realtime.monitoring.metrics_report import Reporter
from realtime.monitoring.tasks import Tasks
from realtime.publish.rounds import make_round, send_round


class Command(output.Command):
    help = (
        "Fetch the prices of all tokens held, round after round, and send the changes to every server."
        " If another process already does, stand by and take over when it stops."
    )

    is_unattended = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--source",
            choices=(AUTO, *names()),
            default=AUTO,
            help="where prices come from; auto (the default) is dexscreener if it answers, else simulated",
        )
        parser.add_argument(
            "--replay", type=Path, metavar="FILE", help="CSV with time,token,price[,price_usd]"
        )
        parser.add_argument(
            "--speed", type=int, metavar="STEPS", help="replay: time steps of the file per round (1)"
        )
        parser.add_argument("--loop", action="store_true", help="replay: start over at the end of the file")
        parser.add_argument("--seed", type=int, help="simulated: the same number gives the same prices")
        parser.add_argument(
            "--interval",
            type=float,
            default=1.5,
            metavar="SECONDS",
            help="seconds from one round to the next (1.5)",
        )
        rounds = parser.add_mutually_exclusive_group()
        rounds.add_argument(
            "--once",
            action="store_true",
            help="run one round, even if another process is broadcasting; fail if no token could be priced",
        )
        rounds.add_argument(
            "--rounds", type=int, metavar="N", help="run N rounds, even if another process is broadcasting"
        )

    def handle(self, **options: Any) -> None:
        check(options)
        answers_within(conf.DATABASE_ANSWER_SECONDS)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._main(options))

    async def _main(self, options: dict[str, Any]) -> None:
        rounds = 1 if options["once"] else options["rounds"]
        report = FeedReport(
            self._write,
            terminal=self.stdout.isatty() and os.environ.get("TERM") != "dumb",
            every_round=rounds is not None,
            stamped=self.stdout.formatter is None,
        )
        source: PriceSource | None = None
        results: list[Round] = []

        def on_round(result: Round) -> None:
            results[:] = [result]
            counts.round(source.name if source else "", result)
            report.round(result)

        try:
            with ended_by_signals():
                source = await self._source(options, report)
                await self._broadcast(source, options["interval"], rounds, on_round, report)
        except asyncio.CancelledError:
            report.end()
            report.say("Stopped.")
        finally:
            report.end()
            if source is not None:
                await source.aclose()
            await close_async_client()
        if options["once"] and results and not results[0].priced and (results[0].tokens or results[0].errors):
            raise CommandError("No token could be priced.")

    async def _source(self, options: dict[str, Any], report: FeedReport) -> PriceSource:
        name, why = options["source"], ""
        if name == AUTO:
            name, why = await resolve_auto()
        try:
            source = make_source(
                name,
                replay=options["replay"],
                speed=options["speed"] or 1,
                loop=options["loop"],
                seed=options["seed"],
            )
        except SourceError as error:
            raise CommandError(str(error)) from None
        what = f"Prices from {name}."
        if isinstance(source, SimulatedSource):
            what = f"Prices are simulated, with seed {source.seed}."
        elif name == "replay":
            what = f"Prices are replayed from {options['replay']}."
        report.say(f"{why} {what}".strip())
        stale_seconds: float = conf.PRICE_STALE_SECONDS
        if options["interval"] >= stale_seconds:
            report.say(
                f"Prices become stale between rounds: NEXGENT_PRICE_STALE_SECONDS is {stale_seconds:g},"
                f" --interval {options['interval']:g}."
            )
        return source

    async def _broadcast(
        self,
        source: PriceSource,
        interval_seconds: float,
        rounds: int | None,
        on_round: Any,
        report: FeedReport,
    ) -> None:
        # History is computed on a thread. A round that has waited for a socket gets the interpreter back after this:
        # with Python's 5 ms, one of 20,000 tokens took four times as long while history was written (2026-11-26).
        switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(0.0005)
        recorder, tasks = Recorder(on_write=counts.history), Tasks()

        shards: int = conf.PRICE_SHARDS

        async def run() -> None:
            with collected_between_rounds() as collect:

                def round_ended(result: Round) -> None:
                    on_round(result)
                    collect()

                # A new feed with every lease: another process may have sent newer prices than an earlier one of ours.
                feed = PriceFeed(
                    source,
                    send_round,
                    interval_seconds,
                    prepare=functools.partial(make_round, shards=shards),
                    shards=shards,
                    on_round=round_ended,
                    on_prices=recorder.note_round,
                )
                await feed.run(rounds)

        tasks.keep_running("history", lambda _: recorder.run(), grace_seconds=0.0)
        try:
            if rounds is not None:
                await run()
            else:
                await self._while_held(run, tasks, report)
        finally:
            await tasks.stop(["history"])
            await recorder.flush()
            sys.setswitchinterval(switch_interval)

    async def _while_held(self, run: Callable[[], Awaitable[None]], tasks: Tasks, report: FeedReport) -> None:
        reporter = Reporter("prices")
        tasks.keep_running("metrics", reporter.run, grace_seconds=0.0)
        try:
            await FeedLease().run_while_held(run, on_standby=report.say)
        finally:
            await tasks.stop(["metrics"])
            with contextlib.suppress(*Unavailable):
                await reporter.leave()

    def _write(self, text: str) -> None:
        if self.stdout.formatter is None:
            self.stdout.write_ours(text)
        else:
            self.stdout.write(text)
        self.stdout.flush()


def check(options: dict[str, Any]) -> None:
    """Raise CommandError, naming the argument, if one is invalid."""
    if not (math.isfinite(options["interval"]) and options["interval"] > 0):
        raise CommandError(f"--interval must be a number of seconds above 0; it is {options['interval']:g}.")
    for name in ("rounds", "speed"):
        if options[name] is not None and options[name] < 1:
            raise CommandError(f"--{name} must be at least 1; it is {options[name]}.")
    if options["source"] == "replay" and options["replay"] is None:
        raise CommandError("--source replay needs --replay FILE.")
    if options["source"] != "replay":
        for name in ("replay", "speed", "loop"):
            if options[name]:
                raise CommandError(f"--{name} needs --source replay; the source is {options['source']}.")
    if options["seed"] is not None and options["source"] not in (AUTO, "simulated"):
        raise CommandError(f"--seed needs --source simulated; the source is {options['source']}.")


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Cancel the running task on Ctrl-C and SIGTERM, where the platform supports it."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, task.cancel)
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)
