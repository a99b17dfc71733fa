"""Each fault at small size: 24 clients on a daphne and a uvicorn side by side. `make soak` runs them at full size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexgent.addresses import database
from nexgent.environment import Environment
from testbed.templates import Templates
from tests.reliability.account import Account
from tests.reliability.cluster import Cluster
from tests.reliability.experiment import Experiment
from tests.reliability.faults import COMMITS_LOST, DISK_FULL, FAULTS, SILENT, Fault
from tests.servers import FOLDER

SOCKETS = 24
PER_SECOND = 10.0
"""Transactions, each of 2.4 events on average: of the shortest outage, 2 s, more events than there are clients. Faults
wait for so many events and transactions, not for a time."""
QUICK = {
    "NEXGENT_RECONCILE_SECONDS": "1",
    "NEXGENT_RETRY_AFTER_SECONDS": "0.5",
    "NEXGENT_PRICE_TIMEOUT_SECONDS": "0.4",
}


@pytest.fixture(scope="module")
def cluster(templates: Templates) -> Iterator[Cluster]:
    """One for all faults: the servers that survived one go on to the next."""
    with Cluster(
        FOLDER / "lab",
        kinds=("daphne", "uvicorn"),
        sockets=SOCKETS,
        price_seconds=0.25,
        settings=QUICK,
        templates=templates,
    ) as running:
        yield running


@pytest.fixture
def small_cluster(templates: Templates, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One with what a fault needs."""
    with Cluster(
        FOLDER / request.param.inject.__name__,
        kinds=("daphne",),
        sockets=20,
        settings=QUICK,
        templates=templates,
        **request.param.needs,
    ) as running:
        yield running


async def outcome(cluster: Cluster, fault: Fault) -> Account:
    experiment = Experiment(
        cluster, fault.name, fault.inject, outage_seconds=2.0, per_second=PER_SECOND, events=0
    )
    account = await experiment.run()
    assert account.problems(writes_fail=fault.writes_fail, sockets_end=fault.sockets_end) == []
    assert account.delivered >= 3 * cluster.sockets
    return account


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
async def test_fault_while_clients_watch_loses_no_event(cluster, fault):
    account = await outcome(cluster, fault)
    assert bool(account.writer_failures) == fault.writes_fail
    assert bool(account.closes) == fault.sockets_end
    assert bool(account.resumes) == fault.sockets_end


@pytest.mark.parametrize("small_cluster", [SILENT], indirect=True)
async def test_silent_network_loses_no_event(small_cluster):
    await outcome(small_cluster, SILENT)


@pytest.mark.parametrize("small_cluster", [COMMITS_LOST], indirect=True)
async def test_fail_over_that_lost_commits_gives_every_client_a_fresh_snapshot(small_cluster):
    account = await outcome(small_cluster, COMMITS_LOST)
    assert account.fresh_snapshots >= 18


@pytest.mark.parametrize("small_cluster", [DISK_FULL], indirect=True)
async def test_disk_full_fails_writes_whole_and_loses_no_event(small_cluster):
    account = await outcome(small_cluster, DISK_FULL)
    assert list(account.writer_failures) == ["OperationalError: database or disk is full"]


def test_pool_backs_off_for_no_longer_than_a_query_waits():
    """Else a database that is back after an hour would stay unused for up to another (see the comment there)."""
    env = Environment({"DATABASE_URL": "postgresql://localhost/nexgent"})
    pool = database(env, data_dir=Path("/"))["OPTIONS"]["pool"]
    assert pool["reconnect_timeout"] < pool["timeout"]
