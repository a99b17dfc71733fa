"""Queries whose SQL is built once: the same rows as each time, for every value and in every thread."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from positions.models import Position, Quota
from positions.models.compiled import Compiled
from tests.positions.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_rows_are_those_of_the_values_that_are_asked_for(alice: User, bob: User, position: Position):
    """Also where a joined row is missing for one of them, and from threads with connections of their own."""
    Quota.objects.create(user=alice, agents=5)
    users = Compiled(lambda: User.objects.select_related("quota").order_by(), "pk")
    assert [users.find(key, using="default") for key in (alice.pk, bob.pk, 0)] == [[alice], [bob], []]
    found = at_once(*[lambda key=user.pk: users.find(key, using="default") for user in (alice, bob) * 3])
    with CaptureQueriesContext(connection) as queries:
        assert [getattr(user, "quota", None) and user.quota.agents for (user,) in found] == [5, None] * 3
    assert len(queries) == 0

    mine = Compiled(Position.objects.all, "agent__owner_id", "pk")
    with CaptureQueriesContext(connection) as queries:
        assert mine.find(alice.pk, position.pk, using="default") == [position]
        assert mine.find(alice.pk, str(position.pk), using="default") == [position]
        assert mine.find(bob.pk, position.pk, using="default") == []
        assert mine.find(alice.pk, uuid4(), using="default") == []
    assert len(queries) == 4
    (row,) = mine.find(alice.pk, position.pk, using="default")
    stored = Position.objects.get(pk=position.pk)
    assert {name: getattr(row, name) for name in vars(stored) if name != "_state"} == {
        name: value for name, value in vars(stored).items() if name != "_state"
    }
    row.dca_count += 1
    row.save()
    assert Position.objects.get(pk=position.pk).dca_count == stored.dca_count + 1


def test_query_with_a_value_of_its_own_is_refused(alice: User):
    """It would be taken for that of another field."""
    active = Compiled(lambda: User.objects.filter(is_active=True, first_name="A"), "pk")
    with pytest.raises(TypeError, match="its parameters should be pk only"):
        active.find(alice.pk, using="default")
