"""Password guessing is stopped across all processes; the real user can still log in from another address."""

from __future__ import annotations

import time

import pytest
from asgiref.sync import async_to_sync
from django.conf import LazySettings
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.test import Client, RequestFactory

from positions import valkey
from positions.accounts import attempts, counting, logins, passwords
from positions.accounts.attempts import Attempt, Attempts, Refused
from positions.accounts.counting import Limits
from positions.accounts.logins import client_address
from positions.demo_login import DEMO_PASSWORD, DEMO_USERNAME
from tests.conftest import person
from tests.live import PATIENCE_SECONDS
from tests.positions.threads import at_once

GOOD = "alice-has-a-password"


@pytest.fixture(autouse=True)
def limits(settings: LazySettings, monkeypatch) -> None:
    settings.NEXGENT = settings.NEXGENT | {
        "LOGIN_FAILURES": 3,
        "LOGIN_LOCK_SECONDS": 900.0,
        "TOKEN_REQUESTS_PER_MINUTE": 1000,
    }
    monkeypatch.setattr(attempts, "attempts", Attempts())
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 1)  # a third of a second for each wrong password


@pytest.fixture
def no_valkey(settings: LazySettings, tmp_path):
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": f"unix://{tmp_path}/nobody.sock"}
    valkey.client.cache_clear()
    yield
    valkey.client.cache_clear()


def log_in(password: str, *, name: str = "alice", address: str = "192.0.2.1"):
    return Client().post(
        "/api/token/",
        {"username": name, "password": password},
        content_type="application/json",
        REMOTE_ADDR=address,
    )


def statuses(count: int, **options: str) -> list[int]:
    return [log_in("wrong", **options).status_code for _ in range(count)]


def test_name_is_locked_for_the_address_that_failed_too_often(alice):
    began = time.monotonic()
    assert statuses(3) == [401, 401, 401]
    locked = log_in(GOOD)
    assert locked.status_code == 429
    assert 900 - (time.monotonic() - began) <= int(locked.headers["Retry-After"]) <= 900
    assert locked.json() == {
        "detail": f"Too many failed logins. Try again in {locked.headers['Retry-After']} seconds."
    }


def test_owner_of_a_locked_name_still_gets_in_from_elsewhere(alice):
    statuses(5)
    assert log_in(GOOD, address="198.51.100.7").status_code == 200


def test_name_that_does_not_exist_is_locked_as_one_that_does(db):
    assert statuses(4, name="nobody") == [401, 401, 401, 429]


def test_right_password_forgets_the_failures_before_it(alice):
    for _ in range(4):
        assert statuses(2) == [401, 401]
        assert log_in(GOOD).status_code == 200


def test_address_that_tries_many_names_is_locked(alice):
    answers = [log_in("wrong", name=f"name {number}").status_code for number in range(15)]
    assert answers == [401] * 15
    assert log_in(GOOD).status_code == 429
    assert log_in(GOOD, address="198.51.100.7").status_code == 200


def test_name_that_is_tried_from_many_addresses_is_locked_where_it_has_never_logged_in(alice):
    home = {"address": "198.51.100.7"}
    assert log_in(GOOD, **home).status_code == 200
    for number in range(30):
        assert log_in("wrong", address=f"192.0.2.{number}").status_code == 401
    assert log_in(GOOD, address="198.51.100.8").status_code == 429
    assert log_in(GOOD, **home).status_code == 200
    assert statuses(4, **home) == [401, 401, 401, 429]  # what it is known for is no way around its own limit


def test_one_line_cannot_lock_a_name_for_everybody(alice):
    tried = [log_in("wrong", address=f"2001:db8:1:{number:x}::1").status_code for number in range(40)]
    assert tried == [401] * 12 + [429] * 28  # each from another /64: the /48 has four times the limit of one
    assert log_in(GOOD, address="2001:db8:2::1").status_code == 200
    for number in range(2, 9):
        assert statuses(3, address=f"192.0.2.{number}") == [401] * 3
    assert log_in(GOOD, address="198.51.100.7").status_code == 200


def test_line_that_tries_many_names_is_locked(alice):
    wrong = [
        log_in("wrong", name=f"name {number}", address=f"2001:db8:1:{number:x}::1") for number in range(60)
    ]
    assert {answer.status_code for answer in wrong} == {401}
    assert log_in(GOOD, address="2001:db8:1:ffff::1").status_code == 429
    assert log_in(GOOD, address="2001:db8:2::1").status_code == 200


def test_neighbours_in_one_network_are_counted_apart(alice):
    assert statuses(4, address="2001:db8:1:1::1") == [401, 401, 401, 429]
    assert log_in(GOOD, address="2001:db8:1:2::1").status_code == 200


@pytest.mark.parametrize("outage", [False, True])
@pytest.mark.both_databases
def test_attempts_at_once_are_no_way_around_the_limit(transactional_db, outage, request):
    if outage:
        request.getfixturevalue("no_valkey")
    person("alice")
    answers = at_once(*[lambda: log_in("wrong").status_code] * 16)
    assert sorted(answers) == [401] * 3 + [429] * 13
    assert log_in(GOOD).status_code == 429


@pytest.mark.parametrize("outage", [False, True])
@pytest.mark.both_databases
def test_right_passwords_at_once_all_get_in(transactional_db, outage, request):
    if outage:
        request.getfixturevalue("no_valkey")
    person("alice")
    assert at_once(*[lambda: log_in(GOOD).status_code] * 40) == [200] * 40
    assert statuses(4) == [401, 401, 401, 429]  # and leave no place taken


class Counting(Attempts):
    def __init__(self) -> None:
        super().__init__()
        self.begun = 0

    def begin(self, limits: Limits) -> Attempt:
        self.begun += 1
        return super().begin(limits)


@pytest.mark.both_databases
def test_same_right_password_at_once_is_checked_once(transactional_db, monkeypatch):
    """A hundred workers of a bot get in, however long a check takes."""
    monkeypatch.setattr(attempts, "attempts", counted := Counting())
    hashed = PBKDF2PasswordHasher().encode(GOOD, "salt", iterations=300_000)  # as expensive as on a server
    User.objects.create(username="alice", password=hashed)
    assert at_once(*[lambda: log_in(GOOD).status_code] * 12) == [200] * 12
    assert counted.begun < 12  # all but those that came after it was done
    assert statuses(4) == [401, 401, 401, 429]


def test_right_password_waits_for_wrong_ones_in_other_processes(db):
    """A further attempt depends on their outcome: it is refused only if they fail."""
    first, second = Attempts(), Attempts(wait_seconds=0.2)
    limits = logins._limits("alice", ["192.0.2.1"])
    end = {"window_seconds": 900, "known_seconds": 900}
    begun = [first.begin(limits) for _ in range(3)]
    with pytest.raises(Refused) as refused:
        second.begin(limits)
    assert refused.value.busy
    assert 1 <= refused.value.wait_seconds <= 2
    first.end(begun[0], "succeeded", **end)
    second.end(second.begin(limits), "unknown", **end)  # an error is no failure
    began = time.monotonic()
    for each in [*begun[1:], second.begin(limits)]:
        first.end(each, "failed", **end)
    with pytest.raises(Refused) as refused:
        second.begin(limits)
    assert not refused.value.busy
    assert 899 - (time.monotonic() - began) <= refused.value.wait_seconds <= 900


@pytest.mark.parametrize("outage", [False, True])
def test_process_that_died_blocks_a_login_for_its_lease_only(db, outage, request):
    if outage:
        request.getfixturevalue("no_valkey")
    counted = Attempts(lease_seconds=0.3, wait_seconds=PATIENCE_SECONDS)
    limits = logins._limits("alice", ["192.0.2.1"])
    for _ in range(3):
        counted.begin(limits)  # and never ends
    assert counted.begin(limits)


def test_error_while_a_password_is_checked_is_no_failure(alice, monkeypatch):
    def fail(*arguments: object) -> None:
        raise OperationalError("the database is away")

    for _ in range(5):
        with monkeypatch.context() as patch:
            patch.setattr(passwords, "check_password", fail)  # as where the connection breaks
            assert log_in(GOOD).status_code == 503
    assert log_in(GOOD).status_code == 200


def test_lock_ends_with_its_time(alice, settings):
    settings.NEXGENT = {**settings.NEXGENT, "LOGIN_LOCK_SECONDS": 1.0}
    statuses(3)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while log_in(GOOD).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # between two checks of a condition


def test_admin_login_shares_the_counts_and_says_why(alice):
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    statuses(3)
    form = {"username": "alice", "password": GOOD, "next": "/admin/"}
    page = Client().post("/admin/login/", form, REMOTE_ADDR="192.0.2.1")
    assert page.status_code == 200
    assert "Too many failed logins. Try again in 15 minutes." in page.content.decode()
    assert Client().post("/admin/login/", form, REMOTE_ADDR="198.51.100.7").status_code == 302


def test_without_valkey_each_process_counts_for_itself(alice, no_valkey, caplog):
    assert statuses(4) == [401, 401, 401, 429]
    assert log_in(GOOD, address="198.51.100.7").status_code == 200
    assert caplog.text.count("counted per process, not across processes") == 1
    attempts.attempts = Attempts()  # another process
    assert log_in(GOOD).status_code == 200


def test_counting_in_memory_is_bounded(alice, no_valkey, monkeypatch):
    monkeypatch.setattr(counting, "MOST_KEPT", 10)
    for number in range(25):
        assert log_in("wrong", name=f"name {number}", address=f"192.0.2.{number}").status_code == 401
        assert log_in(GOOD, address=f"192.0.2.{number}").status_code == 200
    kept = attempts.attempts._here
    assert max(len(kept._failures), len(kept._places), len(kept._known)) <= 13  # what one login adds


def test_token_requests_of_an_address_are_throttled(alice, settings):
    settings.NEXGENT = {**settings.NEXGENT, "LOGIN_FAILURES": 1000, "TOKEN_REQUESTS_PER_MINUTE": 2}
    assert [log_in(GOOD).status_code for _ in range(2)] == [200, 200]
    answer = log_in(GOOD)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert Client().post("/api/token/refresh/", {}, REMOTE_ADDR="192.0.2.1").status_code == 429
    assert log_in(GOOD, address="198.51.100.7").status_code == 200


def test_password_of_the_demo_opens_nothing_outside_debug_mode(db, settings):
    User.objects.create_user(DEMO_USERNAME, password=DEMO_PASSWORD)
    assert log_in(DEMO_PASSWORD, name=DEMO_USERNAME).status_code == 401
    settings.DEBUG = True
    assert log_in(DEMO_PASSWORD, name=DEMO_USERNAME).status_code == 200


def test_code_that_asks_without_a_request_is_not_counted(alice):
    for _ in range(5):
        assert authenticate(username="alice", password="wrong") is None
    assert authenticate(username="alice", password=GOOD) == alice


def test_asynchronous_logins_are_counted_too(db):
    request = RequestFactory().get("/")
    log_in = async_to_sync(logins.LockingBackend().aauthenticate)
    for _ in range(3):
        assert log_in(request, username="x", password="y") is None
    with pytest.raises(PermissionDenied):
        log_in(request, username="x", password="y")


def test_counts_are_gone_with_the_data_of_valkey(alice):
    statuses(3)
    assert log_in(GOOD).status_code == 429
    store = valkey.client()
    store.delete(*store.scan_iter(f"{valkey.KEY_PREFIX}attempts:*"))
    assert log_in(GOOD).status_code == 200


@pytest.mark.both_databases
def test_locked_name_keeps_its_tokens(alice):
    token = log_in(GOOD, address="203.0.113.9").json()["access"]
    for host in range(1, 12):
        statuses(3, address=f"192.0.2.{host}")
    assert log_in(GOOD, address="198.51.100.1").status_code == 429  # locked for everybody
    answer = Client().get("/api/agents/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Xk3-q9z", "too short"),
        ("sunshine1", "too common"),
        ("8305917264", "numeric"),
        ("alice-one", "similar"),
    ],
)
def test_password_that_is_easy_to_guess_is_refused(admin_client: Client, password: str, why: str):
    form = {"username": "alice-one", "password1": password, "password2": password, "usable_password": "true"}
    page = admin_client.post("/admin/auth/user/add/", form)
    assert why in page.content.decode()
    assert not User.objects.filter(username="alice-one").exists()


@pytest.mark.parametrize(
    ("behind_proxy", "forwarded", "expected"),
    [
        (False, "203.0.113.9", "192.0.2.1"),
        (True, "203.0.113.9", "203.0.113.9"),
        (True, "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the first one is what the client claims
        (True, "", "192.0.2.1"),
        (True, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (True, "::ffff:203.0.113.9", "203.0.113.9"),
        (True, "64:ff9b::203.0.113.9", "203.0.113.9"),  # NAT64
        (True, "2002:cb00:7109::1", "203.0.113.9"),  # 6to4
        (True, "198.51.100.3:80, 203.0.113.9:4711", "203.0.113.9"),
        (True, "[::ffff:203.0.113.9]:4711", "203.0.113.9"),
        (True, "[2001:db8:1:2:3::4]:4711", "2001:db8:1:2::"),
        (True, "[2001:db8:1:2:3::4]", "2001:db8:1:2::"),
        (True, "203.0.113.9:4711:1", "unknown"),
        (True, "nonsense", "unknown"),
    ],
)
def test_client_address(settings, behind_proxy, forwarded, expected):
    settings.NEXGENT = {**settings.NEXGENT, "BEHIND_PROXY": behind_proxy}
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("203.0.113.9, 198.51.100.3", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9:4711, 198.51.100.3", "203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),  # the outer proxy was passed by
        ("", "192.0.2.1"),
    ],
)
def test_client_address_behind_two_proxies(settings, forwarded, expected):
    settings.NEXGENT = {**settings.NEXGENT, "BEHIND_PROXY": True, "PROXY_HOPS": 2}
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


def test_keys_in_valkey_name_nobody(alice):
    statuses(1)
    keys = str(valkey.client().keys("*"))
    assert "attempts:" in keys
    assert "alice" not in keys
