"""The admin with three thousand positions, and more of everything than a page lists: as many queries as with one.

`NEXGENT_TEST_AGENTS=5000 pytest -s tests/positions/test_admin_size.py` has a hundred thousand, and prints how long each
page took, for docs/operations.md.
"""

from __future__ import annotations

import os
import time

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from positions.models import Agent, Position, PositionEvent
from tests.conftest import BONK
from tests.positions.test_admin import listing, page_of

AGENTS, POSITIONS_EACH = int(os.environ.get("NEXGENT_TEST_AGENTS", "150")), 20
pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def crowd(owner: User) -> None:
    """Insert twenty positions for each of as many agents, a tenth of them closed, and an event of each."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO positions_agent (id, owner_id, name, trading_mode, event_seq, created_at, updated_at)
            SELECT gen_random_uuid(), %s, 'agent ' || n, 'simulation', %s, now(), now()
            FROM generate_series(1, %s) AS n
            """,
            [owner.pk, POSITIONS_EACH, AGENTS],
        )
        cursor.execute(
            """
            INSERT INTO positions_wallet (address, agent_id, kind, created_at)
            SELECT replace(replace(replace(a.id::text, '-', ''), '0', 'x'), 'l', 'y'), a.id, 'simulation', now()
            FROM positions_agent AS a WHERE a.name LIKE 'agent %%'
            """
        )
        cursor.execute(
            """
            INSERT INTO positions_position (
                id, agent_id, wallet_id, token_address, token_symbol, purchase_price, purchase_amount,
                total_invested_sol, remaining_amount, realized_profit_sol, dca_count, dca_transaction_ids,
                take_profit_levels_hit, take_profit_transaction_ids, moon_bag_activated, status, closed_at,
                close_reason, created_at, updated_at)
            SELECT gen_random_uuid(), w.agent_id, w.address, 'Token' || n, 'T' || n, 0.001, 1000, 1, 1000, 0, 0,
                '[]', 0, '[]', false, CASE WHEN n <= 2 THEN 'closed' ELSE 'open' END,
                CASE WHEN n <= 2 THEN now() END, '', now() - n * interval '1 minute', now()
            FROM positions_wallet AS w CROSS JOIN generate_series(1, %s) AS n
            WHERE w.address NOT LIKE 'A1pha%%'
            """,
            [POSITIONS_EACH],
        )
        cursor.execute(
            """
            INSERT INTO positions_positionevent (id, agent_id, seq, event_type, position_id, position, created_at)
            SELECT gen_random_uuid(), p.agent_id, row_number() OVER (PARTITION BY p.agent_id ORDER BY p.id),
                'position_created', p.id, '{}', p.created_at
            FROM positions_position AS p WHERE p.token_address LIKE 'Token%%'
            """
        )
        cursor.execute("ANALYZE")


def test_pages_of_thousands_of_positions_cost_what_those_of_one_do(client, alice, agent, wallet, position):
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    event = PositionEvent.objects.get()
    positions, agents, events = listing("position"), listing("agent"), listing("positionevent")
    pages: dict[str, str] = {
        "start page": "/admin/",
        "agents": agents,
        "agents, found by name": f"{agents}?q=alpha",
        "wallets": listing("wallet"),
        "positions": positions,
        "positions, open ones": f"{positions}?status__exact=open",
        "positions, of an agent": f"{positions}?agent__id__exact={agent.pk}",
        "positions, found by symbol": f"{positions}?q=BONK",
        "positions, found by token address": f"{positions}?q={BONK}",
        "positions, found by id": f"{positions}?q={position.pk}",
        "events": events,
        "events, of an agent": f"{events}?agent__id__exact={agent.pk}",
        "events, of a position": f"{events}?q={position.pk}",
        "quotas": listing("quota"),
        "one agent": page_of(agent),
        "one position": page_of(position),
        "one event": page_of(event),
    }
    for path in pages.values():
        client.get(path)  # what is cached is, afterwards
    few = {name: cost(client, path)[0] for name, path in pages.items()}
    crowd(alice)
    assert (Agent.objects.count(), Position.objects.count()) == (AGENTS + 1, AGENTS * POSITIONS_EACH + 1)
    many = {name: cost(client, path) for name, path in pages.items()}
    print("\n| page | queries | ms |\n|---|--:|--:|")  # noqa: T201  figures for the docs
    for name, (queries, seconds) in many.items():
        print(f"| {name} | {queries} | {1000 * seconds:.0f} |")  # noqa: T201
    assert {name: queries for name, (queries, _) in many.items()} == few


def cost(client: Client, path: str) -> tuple[int, float]:
    """Return how many queries a page takes, and how long it took, in seconds."""
    started = time.perf_counter()
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path)
    assert answer.status_code == 200, path
    return len(queries), time.perf_counter() - started
