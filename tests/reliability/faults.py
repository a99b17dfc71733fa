"""The faults, by name. Each breaks something real, waits for the effect that it must have, and repairs it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from tests.positions.prices.price_api import Answer, Request, dexscreener, pair
from tests.reliability.experiment import Experiment

WRITES_MEANWHILE = 30
"""Transactions that the writer must get through while the channel layer is broken."""
NO_ANSWERS = (
    Answer(hang=True),
    Answer(status=429, headers={"Retry-After": "1"}),
    Answer(status=500),
    Answer(b"<!DOCTYPE html><title>Just a moment...</title>"),
    Answer(b'[{"chainId": "solana", "dexId'),
    Answer(b"[]", missing_bytes=100),
)
NO_PRICES = (float("nan"), "NaN", "-0.5", -0.5, "0", 0, "1e400", None)


async def valkey_stopped(experiment: Experiment) -> None:
    valkey = experiment.cluster.valkey
    await asyncio.to_thread(valkey.stop)
    await _writers_do_not_wait(experiment)
    await asyncio.to_thread(valkey.start)
    await experiment.ready()


async def valkey_hung(experiment: Experiment) -> None:
    """It takes connections and requests, and answers none: worse than a dead one."""
    valkey = experiment.cluster.valkey
    valkey.hang()
    try:
        await _writers_do_not_wait(experiment)
    finally:
        valkey.resume()
    await experiment.ready()


async def valkey_emptied(experiment: Experiment) -> None:
    """Killed, and started again with nothing: no prices, no claims, no one connected."""
    valkey = experiment.cluster.valkey
    await asyncio.to_thread(valkey.lose_everything)
    await asyncio.to_thread(valkey.start)
    experiment.latecomers()
    await experiment.ready()
    await experiment.more_prices()


async def valkey_read_only(experiment: Experiment) -> None:
    """Its address leads to another server, empty; connections still lead to the old one, a read-only replica now."""
    await asyncio.to_thread(experiment.cluster.valkey.fail_over)
    experiment.latecomers()
    await experiment.more_prices()
    await experiment.ready()
    await experiment.more_delivered(20)


async def network_silent(experiment: Experiment) -> None:
    """Between all processes, database and Valkey, what is sent vanishes. Later new connections work, old ones never."""
    proxies = experiment.cluster.proxies
    for proxy in proxies:
        proxy.is_hole = True
        proxy.fall_silent()
    experiment.latecomers()
    await asyncio.gather(
        asyncio.sleep(experiment.outage_seconds),
        experiment.writer_failed(),
        experiment.not_ready("database", "valkey"),
    )
    for proxy in proxies:
        proxy.is_hole = False
        proxy.fall_silent()
    await experiment.ready()
    await experiment.more_prices()


async def commits_lost(experiment: Experiment) -> None:
    """The database fails over to a standby that lacks what clients have seen: they start over, and are right again."""
    cluster = experiment.cluster
    assert cluster.postgresql is not None
    assert cluster.standby is not None
    await asyncio.to_thread(cluster.standby.configure, "primary_conninfo", "")
    await experiment.more_delivered(10 * cluster.sockets)
    experiment.may_start_over()
    await asyncio.to_thread(cluster.postgresql.crash)
    experiment.latecomers()
    await experiment.writer_failed()
    await asyncio.to_thread(cluster.fail_over)
    await experiment.ready()
    await experiment.all_started_over()


async def sigterm_in_storm(experiment: Experiment) -> None:
    """A server is told to end while a crowd connects to it: each connection ends as documented, and comes back."""
    cluster = experiment.cluster
    ended = cluster.servers[0]
    crowd = experiment.crowd(ended)
    await experiment.until(crowd.is_coming, "one of the crowd connected")
    assert await asyncio.to_thread(ended.stop) in {0, -signal.SIGTERM}
    experiment.latecomers()
    await crowd.goes()
    await experiment.all_connected()
    await asyncio.to_thread(ended.start)
    await experiment.ready()


async def postgresql_stopped(experiment: Experiment) -> None:
    postgresql = experiment.cluster.postgresql
    assert postgresql is not None
    await asyncio.to_thread(postgresql.stop)
    experiment.latecomers()
    await asyncio.gather(
        asyncio.sleep(experiment.outage_seconds),
        experiment.writer_failed(),
        experiment.ready(database="unavailable"),
    )
    await asyncio.to_thread(postgresql.start)
    await experiment.ready()


async def postgresql_crashed(experiment: Experiment) -> None:
    """All its processes end at once, and it recovers from its log."""
    postgresql = experiment.cluster.postgresql
    assert postgresql is not None
    await asyncio.to_thread(postgresql.crash)
    experiment.latecomers()
    await experiment.writer_failed()
    await asyncio.to_thread(postgresql.start)
    await experiment.ready()


async def server_killed(experiment: Experiment) -> None:
    """One of the two servers: kill -9, and later a new one on the same port."""
    cluster = experiment.cluster
    killed = cluster.servers[0]
    await asyncio.to_thread(cluster.kill, killed)
    experiment.latecomers()
    await asyncio.gather(
        asyncio.sleep(experiment.outage_seconds), experiment.all_connected(), experiment.more_delivered(20)
    )
    await asyncio.to_thread(killed.start)
    await experiment.ready()
    # So that the new process serves someone: the sockets of the other one come over.
    other = cluster.servers[1]
    await asyncio.to_thread(cluster.kill, other)
    await experiment.all_connected()
    await asyncio.to_thread(other.start)
    await experiment.ready()


async def broadcaster_killed(experiment: Experiment) -> None:
    cluster = experiment.cluster
    await experiment.more_prices()
    await asyncio.to_thread(cluster.kill_broadcaster)
    experiment.latecomers()
    await asyncio.gather(
        asyncio.sleep(experiment.outage_seconds), experiment.ready(), experiment.more_delivered(20)
    )
    cluster.broadcast("simulated")
    await experiment.more_prices()


async def price_api_misbehaves(experiment: Experiment) -> None:
    """It hangs, answers 429, 500, a web page, half a JSON, and prices that are none."""
    cluster = experiment.cluster
    await asyncio.to_thread(cluster.stop_broadcaster)
    broken = cluster.tokens[0]
    ticks = count(1)
    given: set[str] = set()
    """Every price that the API gave in earnest."""

    def tick() -> str:
        given.add(price := f"0.{next(ticks):06}1")
        return price

    def answer(request: Request) -> Answer:
        return dexscreener(*(pair(token, tick(), "1.5") for token in cluster.tokens))(request)

    def with_broken(value: object) -> Callable[[Request], Answer]:
        def respond(request: Request) -> Answer:
            pairs = [pair(token, tick(), "1.5") for token in cluster.tokens if token != broken]
            return dexscreener(*pairs, pair(broken, value, value))(request)

        return respond

    api = cluster.price_api
    api.respond = answer
    cluster.broadcast("dexscreener")
    await experiment.more_prices()
    experiment.latecomers()
    earlier = {broken: {w.prices[broken] for w in experiment.watchers if broken in w.prices}}
    for misbehaviour in NO_ANSWERS:
        await experiment.until_asked(partial(_always, misbehaviour))
        await experiment.more_delivered(20)
        api.respond = answer
        await experiment.more_prices()
    for value in NO_PRICES:
        await experiment.until_asked(with_broken(value))
        await experiment.more_prices()  # of the others
        for watcher in experiment.watchers:
            kept = watcher.prices.get(broken)
            assert kept is None or kept in given or kept in earlier[broken], f"{value!r}: {kept}"
    await asyncio.to_thread(cluster.stop_broadcaster)
    cluster.broadcast("simulated")


def _always(answer: Answer, _: Request) -> Answer:
    return answer


async def disk_full(experiment: Experiment) -> None:
    """SQLite's file may not grow any more: every write that needs a page fails, reading goes on."""
    trader = experiment.cluster.trader
    trader.send(do="limit_size", more_pages=0)
    experiment.latecomers()
    await asyncio.gather(asyncio.sleep(experiment.outage_seconds), experiment.writer_failed())
    await experiment.all_connected()
    trader.send(do="limit_size", more_pages=None)


async def _writers_do_not_wait(experiment: Experiment) -> None:
    """Writers go on, readiness names Valkey, and clients that connect meanwhile are refused and try again."""
    experiment.latecomers()
    await asyncio.gather(
        asyncio.sleep(experiment.outage_seconds),
        experiment.more_written(WRITES_MEANWHILE),
        experiment.ready(valkey="unavailable"),
    )


class Fault(NamedTuple):
    name: str
    inject: Callable[[Experiment], Awaitable[None]]
    writes_fail: bool = False
    """Whether the writer may be refused, and must try again."""
    sockets_end: bool = False
    """Whether sockets may end, and must come back."""
    needs: Mapping[str, Any] = {}
    """What its cluster must have."""


FAULTS = (
    Fault("Valkey stopped", valkey_stopped),
    Fault("Valkey hangs", valkey_hung),
    Fault("Valkey killed, empty", valkey_emptied),
    Fault("Valkey read-only", valkey_read_only),
    Fault("PostgreSQL stopped", postgresql_stopped, writes_fail=True),
    Fault("PostgreSQL crashed", postgresql_crashed, writes_fail=True),
    Fault("server killed", server_killed, sockets_end=True),
    Fault("SIGTERM in a storm", sigterm_in_storm, sockets_end=True),
    Fault("broadcaster killed", broadcaster_killed),
    Fault("price API misbehaves", price_api_misbehaves),
)
SILENT = Fault("network silent", network_silent, writes_fail=True, needs={"proxied": True})
COMMITS_LOST = Fault("fail-over that lost commits", commits_lost, writes_fail=True, needs={"standby": True})
DISK_FULL = Fault("disk full (SQLite)", disk_full, writes_fail=True, needs={"sqlite": True})
