"""Each fault at small size: 40 clients on a daphne and a uvicorn side by side. `make soak` runs them at full size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexgent.environment import Environment, database
from tests.reliability.cluster import Cluster
from tests.reliability.experiment import Account, Experiment
from tests.reliability.faults import DISK_FULL, FAULTS, Fault
from tests.servers import FOLDER

SOCKETS = 40
QUICK = {
    "NEXGENT_RECONCILE_SECONDS": "1",
    "NEXGENT_RETRY_AFTER_SECONDS": "0.5",
    "NEXGENT_PRICE_TIMEOUT_SECONDS": "0.4",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One for all faults: the servers that survived one go on to the next."""
    kinds = ("daphne", "uvicorn")
    with Cluster(FOLDER / "lab", kinds=kinds, sockets=SOCKETS, price_seconds=0.25, settings=QUICK) as running:
        yield running


@pytest.fixture
def sqlite_cluster() -> Iterator[Cluster]:
    with Cluster(FOLDER / "full", kinds=("daphne",), sockets=20, sqlite=True, settings=QUICK) as running:
        yield running


async def outcome(cluster: Cluster, fault: Fault) -> Account:
    experiment = Experiment(cluster, fault.name, fault.inject, outage_seconds=3.0, per_second=60.0, events=0)
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


async def test_disk_full_fails_writes_whole_and_loses_no_event(sqlite_cluster):
    account = await outcome(sqlite_cluster, DISK_FULL)
    assert list(account.writer_failures) == ["OperationalError: database or disk is full"]


def test_pool_backs_off_for_no_longer_than_a_query_waits():
    """Else a database that is back after an hour would stay unused for up to another (see the comment there)."""
    env = Environment({"DATABASE_URL": "postgresql://localhost/nexgent"})
    pool = database(env, data_dir=Path("/"))["OPTIONS"]["pool"]
    assert pool["reconnect_timeout"] < pool["timeout"]
