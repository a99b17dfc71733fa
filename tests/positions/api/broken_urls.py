"""The project's paths, and one view that fails in the way it is asked to."""

from __future__ import annotations

from typing import NoReturn

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, OperationalError, ProgrammingError
from django.urls import include, path
from rest_framework.request import Request

from positions.api.rules import Rules
from positions.models import Position

FAILURES: dict[str, Exception] = {
    "breaks": RuntimeError("broke on a secret"),
    "needs-a-migration": ProgrammingError('column "note" does not exist'),
    "needs-a-migration-on-sqlite": OperationalError("no such column: positions_position.note"),
    "finds-no-database": OperationalError('connection to server at "db.internal" failed'),
    "loses-a-race": IntegrityError('duplicate key value violates unique constraint "positions_wallet_pkey"'),
    "comes-too-late": Position.DoesNotExist("Position matching query does not exist."),
    "may-not": PermissionDenied("not even the superuser"),
}


class Fails(Rules):
    def get(self, request: Request, how: str) -> NoReturn:
        raise FAILURES[how]


urlpatterns = [
    path("api/fails/<str:how>/", Fails.as_view()),
    path("", include("nexgent.urls")),
]
