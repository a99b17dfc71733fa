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
from django.test import Client, RequestFactory

from positions import valkey
from positions.accounts import logins
from positions.accounts.logins import Attempts, client_address
from positions.demo_login import DEMO_PASSWORD, DEMO_USERNAME
from tests.conftest import person
from tests.live import PATIENCE_SECONDS
from tests.positions.threads import at_once

GOOD = "alice-has-a-password"


@pytest.fixture(autouse=True)
def limits(settings: LazySettings, monkeypatch) -> None:
    settings.LOGINS = {"FAILURES": 3, "LOCK_SECONDS": 900.0, "TOKEN_REQUESTS_PER_MINUTE": 1000}
    monkeypatch.setattr(logins, "attempts", Attempts())
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 1)  # a third of a second for each wrong password


@pytest.fixture
def no_valkey(settings: LazySettings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
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
    assert statuses(3) == [401, 401, 401]
    locked = log_in(GOOD)
    assert locked.status_code == 429
    assert 890 < int(locked.headers["Retry-After"]) <= 900
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


def test_name_that_is_tried_from_many_addresses_is_locked(alice):
    for number in range(30):
        assert log_in("wrong", address=f"192.0.2.{number}").status_code == 401
    assert log_in(GOOD, address="198.51.100.7").status_code == 429


def test_attempts_at_once_are_no_way_around_the_limit(transactional_db):
    person("alice")
    answers = at_once(*[lambda: log_in("wrong").status_code] * 16)
    assert sorted(answers) == [401] * 3 + [429] * 13


def test_lock_ends_with_its_time(alice, settings):
    settings.LOGINS = {**settings.LOGINS, "LOCK_SECONDS": 1.0}
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
    logins.attempts = Attempts()  # another process
    assert log_in(GOOD).status_code == 200


def test_counting_in_memory_is_bounded(no_valkey, monkeypatch):
    monkeypatch.setattr(logins, "MOST_KEPT", 10)
    attempts = Attempts()
    for number in range(100):
        assert attempts.take({f"key {number}": 1}, window_seconds=900) == 0
    assert attempts.take({"key 99": 1}, window_seconds=900) > 0
    assert len(attempts._here._counts) == 10


def test_token_requests_of_an_address_are_throttled(alice, settings):
    settings.LOGINS = {**settings.LOGINS, "FAILURES": 1000, "TOKEN_REQUESTS_PER_MINUTE": 2}
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


@pytest.mark.parametrize(
    ("behind_proxy", "forwarded", "expected"),
    [
        (False, "203.0.113.9", "192.0.2.1"),
        (True, "203.0.113.9", "203.0.113.9"),
        (True, "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the first one is what the client claims
        (True, "", "192.0.2.1"),
        (True, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (True, "::ffff:203.0.113.9", "203.0.113.9"),
        (True, "nonsense", "unknown"),
    ],
)
def test_client_address(settings, behind_proxy, forwarded, expected):
    settings.BEHIND_PROXY = behind_proxy
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


def test_keys_in_valkey_name_nobody(alice):
    statuses(1)
    keys = str(valkey.client().keys("*"))
    assert "attempts:" in keys
    assert "alice" not in keys
