"""The foundation of all other tests: a clean database for each of them, while server processes read it; ports."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest
from django.db import connection, connections

from positions.models import Agent
from testbed.processes import PATIENCE_SECONDS, ROOT, free_port
from tests.lost_connections import give_back, in_use


@pytest.mark.postgresql
def test_tables_are_emptied_while_another_process_reads_without_a_wait(transactional_db, agent, empty_tables):
    reader = connections.create_connection("default")
    try:
        reader.set_autocommit(False)
        with reader.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM positions_positionevent"
            )  # its lock stays until the transaction ends
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        empty_tables()
        assert not Agent.objects.exists()
    finally:
        reader.close()
        connection.close()


@pytest.mark.postgresql
def test_connection_that_a_thread_leaves_behind_is_given_back_and_its_thread_named(transactional_db):
    thread = threading.Thread(target=lambda: connection.ensure_connection(), name="forgetful")
    thread.start()
    thread.join()
    assert give_back() == ["forgetful"]
    assert give_back() == []
    connection.close()
    assert in_use() == 0


def test_port_is_given_to_no_other_process_until_the_one_that_has_it_ends():
    """Also before its server listens, and while that is restarted."""
    port = free_port()
    # The first that it looks at is the same.
    code = (
        "import secrets, sys; from testbed.processes import free_port\n"
        "numbers, usual = [int(sys.argv[1]) - 15_000], secrets.randbelow\n"
        "secrets.randbelow = lambda count: numbers.pop() if numbers else usual(count)\n"
        "print(free_port())"
    )
    command = [sys.executable, "-c", code, str(port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert int(done.stdout) != port, done.stderr
    socket.create_server(("127.0.0.1", port)).close()
