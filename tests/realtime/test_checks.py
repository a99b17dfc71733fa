"""What the checks say of a project that has the apps and lacks something they need."""

from __future__ import annotations

from typing import Any

import pytest
from channels.layers import channel_layers
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.urls import clear_url_caches

from realtime import paths

CORE = {
    "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["redis://nowhere"]}}
}
BACKEND = "django.contrib.auth.backends.ModelBackend"
urlpatterns: list[Any] = []


@pytest.fixture
def layers(settings):
    before, channel_layers.backends = channel_layers.backends, {}
    yield
    channel_layers.backends = before


@pytest.fixture
def unmounted(settings):
    settings.ROOT_URLCONF = __name__
    paths.base.cache_clear()
    clear_url_caches()
    yield
    paths.base.cache_clear()


def found() -> list[tuple[str, str]]:
    return [(each.id or "", each.msg) for each in run_checks()]


@pytest.mark.parametrize(
    ("given", "is_what"),
    [
        (CORE, "channels_redis.core.RedisChannelLayer"),
        ({}, "missing"),
        (
            {"default": {"BACKEND": "nowhere.Layer"}},
            "Cannot import BACKEND 'nowhere.Layer' specified for default",
        ),
    ],
)
def test_channel_layer_that_loses_messages_is_an_error(settings, layers, given: dict[str, Any], is_what: str):
    settings.CHANNEL_LAYERS = given
    wanted = "sockets need the one of realtime.conf.channel_layer."
    assert found() == [("realtime.E001", f'The channel layer "default" is {is_what}; {wanted}')]


def test_layer_of_another_name_may_be_the_one(settings, layers):
    settings.CHANNEL_LAYERS = {**CORE, "positions": settings.CHANNEL_LAYERS["default"]}
    settings.NEXGENT = {**settings.NEXGENT, "CHANNEL_LAYER": "positions"}
    assert found() == []


def test_project_without_the_urls_the_middleware_the_backend_or_time_zones_is_told_so(settings, unmounted):
    settings.MIDDLEWARE, settings.AUTHENTICATION_BACKENDS, settings.USE_TZ = [], [BACKEND], False
    identities = {identity for identity, _ in found()}
    assert {"realtime.E002", "realtime.E003", "realtime.E004", "positions.W004"} <= identities


def test_user_model_without_what_tokens_and_statements_need_is_an_error(settings, monkeypatch):
    """A login or a migration would fail instead."""
    settings.SIMPLE_JWT = {"USER_ID_FIELD": "number"}
    users = get_user_model()._meta
    without = [field for field in users.concrete_fields if field.name != "is_active"]
    monkeypatch.setitem(users.__dict__, "concrete_fields", without)
    assert [message for identity, message in found() if identity == "positions.E008"] == [
        "Users have no field 'number', which tokens would name them by.",
        "Users have no field 'is_active': nobody's tokens and sockets could be ended.",
    ]


@pytest.mark.parametrize("is_first", [True, False])
def test_backend_behind_djangos_own_would_not_lock(settings, is_first: bool):
    ours = "positions.accounts.logins.LockingBackend"
    settings.AUTHENTICATION_BACKENDS = [ours, BACKEND] if is_first else [BACKEND, ours]
    said = "Failed logins do not lock: Django's own backend checks the password first."
    assert found() == ([] if is_first else [("positions.W004", said)])
