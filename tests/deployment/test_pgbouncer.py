"""Everything works behind PgBouncer in transaction mode, where nothing of a session outlives a transaction."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from nexgent.postgresql import Connection
from positions.deadlines import deadline
from positions.services import move_stop_loss, take_profit
from testbed import forkserver
from tests.deployment.pgbouncer import PgBouncer, pgbouncer
from tests.live import NO_TLS, PATIENCE_SECONDS, ROOT, Server, client, database_url
from tests.waiting import until

COMMANDS = """
from django.core.management import call_command
call_command("check_books")
call_command("tokens")
call_command("export_trades")
call_command("dumpdata", "positions.positionevent", indent=1)
call_command("prune_events", "--older-than", "1d")
"""


@pytest.fixture
def pooler(transactional_db, tmp_path: Path) -> Iterator[PgBouncer]:
    with PgBouncer(pgbouncer(), tmp_path, database_url()) as pooler:
        yield pooler


def test_pooler_of_these_tests_keeps_nothing_of_a_session(pooler: PgBouncer):
    with psycopg.connect(pooler.url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '7s'")
        assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_query_that_takes_too_long_is_cancelled_behind_a_pooler(pooler: PgBouncer):
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3601)%' AND pid <> pg_backend_pid()"
    with Connection.connect(pooler.url, autocommit=True) as connection:
        with deadline(0.2), pytest.raises(psycopg.errors.QueryCanceled):
            connection.cursor().execute("SELECT pg_sleep(3601)")
        until(lambda: connection.cursor().execute(running).fetchone() == (0,), "PostgreSQL has ended it")


async def test_sockets_writes_and_exports_work_behind_a_pooler(pooler: PgBouncer, position, alice, tmp_path):
    await User.objects.filter(pk=alice.pk).aupdate(is_staff=True, is_superuser=True)
    for number in range(3):
        await sync_to_async(move_stop_loss)(position_id=position.pk, percentage=Decimal(-5 - number))
    with Server("daphne", log=tmp_path / "server.log", DATABASE_URL=pooler.url) as server:
        async with httpx.AsyncClient(verify=NO_TLS, base_url=server.url, timeout=PATIENCE_SECONDS) as http:
            answer = await http.post(
                "/api/token/", json={"username": "alice", "password": "alice-has-a-password"}
            )
            token = answer.json()["access"]
            async with client(server, token=token, agent=position.agent_id) as socket:
                await socket.until("initial_data")
                moved = await http.post(
                    f"/api/positions/{position.pk}/stop-loss/",
                    json={"percentage": -12.5},
                    headers={"Authorization": f"Bearer {token}"},
                )
                assert moved.status_code == 200, moved.text
                event = (await socket.until("position_update"))["data"]
                assert event["position"]["currentStopLossPercentage"] == -12.5
            exported = await _exported_events(http)
    assert [row["seq"] for row in exported] == ["5", "4", "3", "2", "1"]
    assert "does not exist" not in (tmp_path / "server.log").read_text()


async def _exported_events(http: httpx.AsyncClient) -> list[dict[str, str]]:
    """Return the rows of the file that the admin's "Export selected" gives for all events."""
    page = await http.get("/admin/login/")
    form = {"username": "alice", "password": "alice-has-a-password", "next": "/admin/"}
    await http.post("/admin/login/", data={**form, "csrfmiddlewaretoken": page.cookies["csrftoken"]})
    chosen = {"action": "export_selected", "_selected_action": ["1"], "select_across": "1"}
    token = {"csrfmiddlewaretoken": http.cookies["csrftoken"]}
    answer = await http.post("/admin/positions/positionevent/", data={**chosen, **token})
    assert answer.headers["Content-Type"].startswith("text/csv"), answer.text[:500]
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_commands_that_read_whole_tables_work_behind_a_pooler(pooler: PgBouncer, position):
    take_profit(position_id=position.pk, tokens=Decimal(10), proceeds_sol=Decimal(1))
    done = forkserver.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", COMMANDS],
        env={**os.environ, "DATABASE_URL": pooler.url},
        cwd=ROOT,
        timeout=4 * PATIENCE_SECONDS,
    )
    assert (done.returncode, "does not exist" in done.stderr) == (0, False), done.stderr
    dumped = json.loads(done.stdout[done.stdout.index("[\n") : done.stdout.rindex("]") + 1])
    assert sorted(each["fields"]["seq"] for each in dumped) == [1, 2]
    assert ",sale," in done.stdout
