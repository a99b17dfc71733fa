"""System checks: settings that make no sense are found when a command starts, each with an id and a hint."""

from __future__ import annotations

import difflib
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name for it
from django.core.exceptions import FieldDoesNotExist
from django.db import DEFAULT_DB_ALIAS, router
from rest_framework.settings import api_settings
from rest_framework_simplejwt import settings as simplejwt

from positions.conf import PositionsSettings, conf
from positions.models import Agent, Position, PositionEvent, Trade, Wallet
from positions.prices import plugged, sources

SETTINGS_PAGE = "docs/settings.md lists all settings."


@register
def nexgent_dict(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E006: a setting that cannot have its value. W001: a key of NEXGENT that no setting reads, a misspelt one, say."""
    given = getattr(settings, "NEXGENT", {})
    if not isinstance(given, dict):
        return [_invalid("NEXGENT", "a dict")]
    declared = (PositionsSettings.__subclasses__() or [PositionsSettings])[0]  # realtime's, which are more
    problems = list(declared.problems(given)) or list(declared.contradictions(given))
    found = [_invalid(f'NEXGENT["{name}"]', wanted) for name, wanted in problems]
    known = {setting.name for setting in declared.all()}
    for name in given.keys() - known:
        similar = difflib.get_close_matches(str(name), known, n=1, cutoff=0.8)
        hint = f"Did you mean {similar[0]}?" if similar else SETTINGS_PAGE
        said = f'NEXGENT["{name}"] is not a setting and has no effect.'
        found.append(Warning(said, hint=hint, id="positions.W001"))
    return found


def _invalid(name: str, wanted: str) -> CheckMessage:
    return Error(f"{name} must be {wanted}.", hint=SETTINGS_PAGE, id="positions.E006")


@register
def price_sources(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E001: an entry of PRICE_SOURCES that is no price source. E002: one that takes a built-in one's name."""
    errors: list[CheckMessage] = []
    for name, path in conf.PRICE_SOURCES.items():
        problem, source_class = plugged.find(path)
        if source_class is None:
            errors.append(
                Error(
                    f"The price source {name!r} cannot be loaded: {problem}.",
                    hint="An entry of NEXGENT_PRICE_SOURCES is name=package.module.Class (docs/building-on-it.md).",
                    id="positions.E001",
                )
            )
        if name in sources.NAMES or name == sources.AUTO:
            errors.append(
                Error(
                    f"The price source {name!r} has the name of a built-in source.",
                    hint="Give it another name in NEXGENT_PRICE_SOURCES.",
                    id="positions.E002",
                )
            )
    return errors


@register
def models_that_write_unseen(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E003: another model of a table whose writes make events. E004: a manager whose writes of many rows would not."""
    errors: list[CheckMessage] = []
    watched = {model._meta.db_table: model for model in (Agent, Wallet, Position, Trade, PositionEvent)}
    for model in apps.get_models():
        table = model._meta.db_table.lower().replace('"', "").rpartition(".")[2]
        owner = next((each for each in watched.values() if issubclass(model, each)), None)
        if owner is None and table in watched:
            errors.append(
                Error(
                    f"{model._meta.label} is a model of {table}, whose writes must make events.",
                    hint=f"Declare a subclass of {watched[table].__name__}, with proxy = True if it has no fields.",
                    obj=model,
                    id="positions.E003",
                )
            )
        if owner is None:
            continue
        needed = type(owner._base_manager.get_queryset())
        errors += [
            Error(
                f"{model._meta.label}.{manager.name} makes querysets whose writes make no events.",
                hint=f"Make it from {needed.__name__}, as in objects = {needed.__name__}.as_manager().",
                obj=model,
                id="positions.E004",
            )
            for manager in model._meta.managers
            if not isinstance(manager.get_queryset(), needed)
        ]
    return errors


@register
def primary_database(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E005: a router that has positions written elsewhere than in the default database."""
    written = {
        model.__name__: router.db_for_write(model)
        for model in (Agent, Wallet, Position, Trade, PositionEvent)
    }
    return [
        Error(
            f"A database router has {name} written in {alias!r}.",
            hint=f"Writes go to {DEFAULT_DB_ALIAS!r}; a router may send reads to a replica.",
            id="positions.E005",
        )
        for name, alias in written.items()
        if alias != DEFAULT_DB_ALIAS
    ]


@register
def log_ins(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """W004: passwords can be guessed without end."""
    backend = "positions.accounts.logins.LockingBackend"
    backends = list(settings.AUTHENTICATION_BACKENDS)
    if backend in backends:
        if "django.contrib.auth.backends.ModelBackend" not in backends[: backends.index(backend)]:
            return []
        said = "Failed logins do not lock: Django's own backend checks the password first."
        return [Warning(said, hint=f"Put {backend!r} first, or alone.", id="positions.W004")]
    said = "Failed logins are not counted: nothing stops who guesses passwords over the API."
    return [Warning(said, hint=f"AUTHENTICATION_BACKENDS = [{backend!r}]", id="positions.W004")]


@register
def user_model(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E008: users have no column of what tokens name, or of what statements here ask for: a login or `migrate` would
    fail."""
    users = get_user_model()._meta
    columns = {field.name for field in users.concrete_fields}
    found: list[CheckMessage] = []
    if simplejwt.api_settings.USER_ID_FIELD not in columns:
        hint = f'SIMPLE_JWT = {{"USER_ID_FIELD": "{users.pk.name}"}}'
        said = (
            f"Users have no field {simplejwt.api_settings.USER_ID_FIELD!r}, which tokens would name them by."
        )
        found.append(Error(said, hint=hint, id="positions.E008"))
    if "is_active" not in columns:
        hint = f"is_active = models.BooleanField(default=True) in {users.label}."
        said = "Users have no field 'is_active': nobody's tokens and sockets could be ended."
        found.append(Error(said, hint=hint, id="positions.E008"))
    return found


@register
def schema_class(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """W003: the page of the API's document would fail."""
    wanted = "drf_spectacular.openapi.AutoSchema"
    if (
        apps.is_installed("drf_spectacular")
        and api_settings.user_settings.get("DEFAULT_SCHEMA_CLASS") != wanted
    ):
        hint = f'Add REST_FRAMEWORK = {{"DEFAULT_SCHEMA_CLASS": "{wanted}"}} to the settings.'
        return [Warning("/api/schema/ and /api/docs/ cannot be shown.", hint=hint, id="positions.W003")]
    return []


@register
def outside_issuer(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E007: users have no such field as the one that the issuer's claim is compared with. W002: its keys come without
    TLS from another machine, so that whoever is between could send others."""
    options = conf.OUTSIDE_ISSUER
    if options is None or any(PositionsSettings.problems({"OUTSIDE_ISSUER": options})):
        return []
    found: list[CheckMessage] = []
    name = options["USER_FIELD"]
    try:
        get_user_model()._meta.get_field(name)
    except FieldDoesNotExist:
        hint = "USER_FIELD (NEXGENT_JWT_USER_FIELD) must be a field of the user model, such as username or email."
        found.append(Error(f"Users have no field {name!r}.", hint=hint, id="positions.E007"))
    parts = urlsplit(options["JWKS_URL"])
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        hint = "Let JWKS_URL (NEXGENT_JWKS_URL) be https://…, or file:///… of a copy."
        problem = "The issuer's keys are fetched without TLS: whoever answers instead can act as any user."
        found.append(Warning(problem, hint=hint, id="positions.W002"))
    return found
