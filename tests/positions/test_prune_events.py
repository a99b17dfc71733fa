"""`manage.py prune_events` and `manage.py prune_answers`."""

from __future__ import annotations

import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from positions import services
from positions.models import Agent, PositionEvent, StoredAnswer


def prune(*arguments: str) -> list[str]:
    out = io.StringIO()
    call_command("prune_events", *arguments, stdout=out)
    return out.getvalue().splitlines()


@pytest.mark.django_db(transaction=True)
def test_prune_removes_what_is_older_in_batches_and_says_so(position):
    for percentage in range(1, 8):
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(-percentage))
    old = timezone.now() - timedelta(days=31)
    PositionEvent.objects.filter(seq__lte=5).update(created_at=old)
    said = prune("--older-than", "30d", "--batch", "2")
    assert said[:3] == ["2 of 5 events removed", "4 of 5 events removed", "5 of 5 events removed"]
    assert said[3].startswith("5 events from before ")
    assert list(PositionEvent.objects.values_list("seq", flat=True)) == [6, 7, 8]
    assert Agent.objects.get().event_seq == 8  # numbers go on where they were


@pytest.mark.django_db(transaction=True)
def test_prune_with_nothing_old_removes_nothing(position):
    assert prune("--older-than", "1h")[0].startswith("0 events from before ")
    assert PositionEvent.objects.count() == 1


@pytest.mark.parametrize("age", ["", "30", "d", "0d", "-1d", "1y", "1.5d", "9999999d"])
def test_prune_of_a_senseless_age_is_refused(age):
    with pytest.raises(CommandError) as refused:
        prune(f"--older-than={age}")
    assert str(refused.value) == f"--older-than must be an age such as 30d, 12h or 90m; it is {age!r}."


def test_prune_of_an_age_before_the_first_date_is_refused():
    with pytest.raises(CommandError, match=r"^--older-than must be at most 3650d; it is '999999d'\.$"):
        prune("--older-than", "999999d")


def test_prune_in_senseless_batches_is_refused():
    with pytest.raises(CommandError, match=r"^--batch must be at least 1; it is 0\.$"):
        prune("--older-than", "1d", "--batch", "0")
    with pytest.raises(CommandError, match=r"^--batch must be at most 50000; it is 50001\.$"):
        prune("--older-than", "1d", "--batch", "50001")


def test_prune_of_answers_keeps_them_for_a_year(alice):
    now = timezone.now()
    for days in (1, 364, 366, 800):
        StoredAnswer.objects.create(
            user=alice,
            key=str(days),
            path="/",
            content={},
            status=200,
            created_at=now - timedelta(days=days),
        )
    out = io.StringIO()
    call_command("prune_answers", stdout=out)
    assert out.getvalue().splitlines()[-1].startswith("2 answers from before ")
    assert set(StoredAnswer.objects.values_list("key", flat=True)) == {"1", "364"}
