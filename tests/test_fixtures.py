"""The foundation of all other tests: a clean database for each of them, while server processes read it."""

from __future__ import annotations

import threading

import pytest
from django.core.management import call_command
from django.db import connection, connections

from positions.models import Agent
from tests.lost_connections import give_back, in_use


@pytest.mark.postgresql
def test_flush_while_another_process_reads_waits_for_nobody(transactional_db, agent):
    reader = connections.create_connection("default")
    try:
        reader.set_autocommit(False)
        with reader.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM positions_positionevent"
            )  # its lock stays until the transaction ends
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        call_command("flush", verbosity=0, interactive=False)
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
