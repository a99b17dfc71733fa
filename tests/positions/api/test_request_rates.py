from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from positions import valkey
from positions.accounts.buckets import Buckets, most_ahead, requests_within_a_minute
from positions.api.schema import openapi
from positions.models import Position, Quota
from realtime.monitoring.metrics import counts
from tests.conftest import person
from tests.positions.api.conftest import Api
from tests.positions.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rates(settings: Any) -> Callable[..., None]:
    """By default so few that none comes back during a test."""

    def set_rates(**quotas: float) -> None:
        slow = {
            "USER_REQUESTS_PER_SECOND": 0.01,
            "ADDRESS_REQUESTS_PER_SECOND": 0.01,
            "REQUEST_CPU_SECONDS": 0,
        }
        settings.NEXGENT = settings.NEXGENT | slow | {name.upper(): number for name, number in quotas.items()}

    return set_rates


def statuses(api: Api, number: int, path: str = "agents/") -> list[int]:
    return [api.request("GET", path).status for _ in range(number)]


def test_user_beyond_its_rate_is_told_when_to_come_back_and_others_are_not(alice, bob, rates):
    rates(user_request_burst=3)
    refusals = counts.refusals["user_requests"]
    assert statuses(Api(alice), 5) == [200, 200, 200, 429, 429]
    refused = Api(alice).request("GET", "agents/")
    assert refused.data == {"detail": f"Too many requests. Try again in {refused.headers['Retry-After']} s."}
    assert 0 < int(refused.headers["Retry-After"]) <= 100
    assert statuses(Api(bob), 3) == [200, 200, 200]
    assert counts.refusals["user_requests"] == refusals + 3


def test_requests_at_once_are_counted_all(alice, rates):
    rates(user_request_burst=5)
    api = [Api(alice) for _ in range(12)]
    answers = at_once(*[lambda each=each: each.request("GET", "agents/").status for each in api])
    assert sorted(answers) == [200] * 5 + [429] * 7


def test_user_who_has_read_too_much_can_still_sell_and_close(alice, position, rates):
    rates(user_request_burst=2)
    api = Api(alice)
    assert statuses(api, 3)[-1] == 429
    path = f"positions/{position.pk}"
    assert api.request("POST", f"{path}/take-profit/", {"tokens": 1, "proceedsSol": 1}).status == 200
    assert api.request("POST", f"{path}/close/", {"proceedsSol": 1}).status == 200
    assert api.request("POST", f"{path}/close/", {"proceedsSol": 1}).status == 429
    assert not Position.objects.open().exists()


def test_requests_without_a_valid_token_count_for_their_address(alice, rates):
    """Public pages and refused tokens; a user with a valid one at the same address is not concerned."""
    rates(address_request_burst=3)
    stranger, forged = Api(None), Api(None)
    forged.client.defaults["HTTP_AUTHORIZATION"] = "Bearer not.a.token"
    found = [*statuses(stranger, 1), *statuses(forged, 1), *statuses(stranger, 1, "schema/")]
    assert found == [401, 401, 200]
    assert [*statuses(stranger, 1), *statuses(forged, 1), *statuses(stranger, 1, "schema/")] == [429] * 3
    elsewhere = Api(None)
    elsewhere.client.defaults["REMOTE_ADDR"] = "192.0.2.7"
    assert statuses(elsewhere, 1) == [401]
    assert statuses(Api(alice), 1) == [200]


def test_networks_of_one_line_have_the_limit_four_times_over(db, rates):
    """One customer may have a whole /48: 65,536 addresses that are counted apart."""
    rates(address_request_burst=3)
    stranger = Api(None)

    def ask(address: str, number: int) -> list[int]:
        stranger.client.defaults["REMOTE_ADDR"] = address
        return statuses(stranger, number)

    # Those that are refused do not count for the line.
    assert ask("2001:db8:1::1", 5) == [401] * 3 + [429] * 2
    found = [ask(f"2001:db8:1:{host}::1", 1)[0] for host in range(1, 11)]
    assert found == [401] * 9 + [429]
    assert ask("2001:db8:2::1", 1) == [401]


def test_user_s_own_rate_counts_instead_of_the_setting(alice: User, rates):
    rates(user_request_burst=1)
    Quota.objects.create(user=alice, requests_per_second=0)  # no limit
    assert statuses(Api(alice), 5) == [200] * 5


def test_no_limit_refuses_nothing(alice, rates):
    rates(
        user_requests_per_second=0,
        address_requests_per_second=0,
        user_request_burst=1,
        address_request_burst=1,
    )
    assert statuses(Api(alice), 5) == [200] * 5
    assert statuses(Api(None), 5) == [401] * 5


def test_while_valkey_is_unavailable_the_process_counts_by_itself(alice, rates, no_valkey):
    rates(user_request_burst=3)
    assert statuses(Api(alice), 5) == [200, 200, 200, 429, 429]


def test_request_that_costs_much_counts_as_several_with_the_next_one(alice, bob, rates):
    rates(user_request_burst=100, request_cpu_seconds=0.00003)  # none takes less than ten times that
    found = statuses(Api(alice), 12)
    assert (found[0], found[-1]) == (200, 429)
    assert statuses(Api(bob), 1) == [200]
    rates(user_request_burst=100, request_cpu_seconds=100)
    assert statuses(Api(person("carol")), 12) == [200] * 12  # who has used nothing up yet


def test_sale_counts_as_one_whatever_it_costs(alice, position, rates):
    rates(user_request_burst=3, request_cpu_seconds=1e-6)
    path = f"positions/{position.pk}/take-profit/"
    sales = [Api(alice).request("POST", path, {"tokens": 1, "proceedsSol": 1}).status for _ in range(4)]
    assert sales == [200, 200, 200, 429]


def test_requests_are_counted_by_user_for_the_admin(alice, bob, rates):
    rates(user_request_burst=100)
    statuses(Api(alice), 7)
    statuses(Api(bob), 2)
    found = requests_within_a_minute()
    assert (found[alice.pk], found[bob.pk]) == (7, 2)


def test_bucket_fills_again(own_valkey):
    """In Valkey, by its own clock, as in this process."""
    buckets = Buckets()
    for take in (buckets.take, lambda name, **limits: buckets._take_here(name, 1, *limits.values())):
        waits = [take("slow", per_second=0.01, burst=2) for _ in range(3)]
        assert waits[:2] == [0, 0]
        assert 0 < waits[2] <= 100
        while not (wait := take("quick", per_second=10.0, burst=2)):
            pass
        assert wait <= 0.1
        while take("quick", per_second=10.0, burst=2):
            pass


def test_who_makes_many_requests_is_let_through_as_often_as_the_limit_says(own_valkey):
    """Over two processes, which take some in advance while the bucket is not yet half empty: fewer calls of Valkey, and
    no request too many."""
    processes = [Buckets(), Buckets()]
    began, let_through, refused = time.monotonic(), 0, 0
    while refused < 2:
        wait = processes[let_through % 2].take("one", per_second=100.0, burst=500)
        let_through, refused = (let_through, refused + 1) if wait else (let_through + 1, 0)
    come_back = 100 * (time.monotonic() - began)
    assert 500 - 2 * most_ahead(100.0, 500) <= let_through <= 500 + come_back + 1
    assert valkey.client().info("commandstats")["cmdstat_eval"]["calls"] < let_through


def test_advance_that_is_not_used_in_time_is_lost(own_valkey):
    prompt, late = Buckets(), Buckets(kept_seconds=0.0)
    limit: Any = {"per_second": 100.0, "burst": 500}
    for _ in range(30):
        assert not prompt.take("one", user_id=7, **limit)
        assert not late.take("other", user_id=8, **limit)
    counted = requests_within_a_minute()
    assert 20 <= counted[7] <= 30  # the last ones, with the next request
    assert counted[8] >= counted[7]
    began, let_through = time.monotonic(), 30
    while not late.take("other", **limit):
        let_through += 1
    assert let_through < 500 + 100 * (time.monotonic() - began)


def test_few_requests_or_a_low_limit_take_nothing_in_advance():
    assert [most_ahead(*limit) for limit in ((100.0, 500), (20.0, 200), (5.0, 500), (100.0, 40))] == [
        10,
        2,
        0,
        0,
    ]


def test_every_operation_names_429():
    operations = [
        (path, method, answers["responses"])
        for path, methods in openapi()["paths"].items()
        for method, answers in methods.items()
        if not path.startswith("/api/session/")
    ]
    assert len(operations) > 20
    assert [(path, method) for path, method, answers in operations if "429" not in answers] == []
