"""Long results are read in parts: in their order, each row once, and without those that are gone meanwhile."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from positions.models.reading import in_parts

pytestmark = pytest.mark.django_db


@pytest.fixture
def users() -> None:
    User.objects.bulk_create(
        User(username=f"user-{number}", first_name=str(number % 2)) for number in range(7)
    )


def names(*parts: list[User]) -> list[str]:
    return [user.username.removeprefix("user-") for part in parts for user in part]


def test_rows_come_in_their_order_with_a_query_for_each_part(users: None):
    rows = User.objects.order_by("-first_name", "username")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        parts = list(in_parts(rows, size=3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert names(*parts) == ["1", "3", "5", "0", "2", "4", "6"]
    assert len(queries) == 4


def test_row_that_is_gone_or_no_longer_asked_for_is_left_out_and_a_new_one_waits(users: None):
    reading = in_parts(User.objects.filter(first_name="0").order_by("username"), size=2)
    assert names(next(reading)) == ["0", "2"]
    User.objects.filter(username="user-4").delete()
    User.objects.filter(username="user-6").update(first_name="1")
    User.objects.create(username="user-8", first_name="0")
    assert list(reading) == [[]]
    assert list(in_parts(User.objects.none(), size=2)) == []
