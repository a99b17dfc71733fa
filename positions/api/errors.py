"""The REST API's error responses. Each has one of two shapes:

- `{"errors": {"fieldName": ["…", …], …}}` for invalid input: a field of the body or a parameter of the query, by
  the name that the client used. 400; 409 where only the current state forbids it (a token that this wallet
  already holds, a sale at a market price that is not live, or of another holding than the client has seen).
- `{"detail": "…"}` for everything else: 400 (not JSON, too many parameters), 401, 403, 404 (not found, or another
  user's), 405, 406, 409 (a closed position), 413, 415, 429 (a quota, with `Retry-After`), 500 and
  503.

No internals are exposed: the client of a 500 gets a sentence, in debug mode too; the `positions.api` logger gets
the traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import IntegrityError
from django.http import Http404
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler, set_rollback

from positions.errors import (
    AlreadyOpen,
    HoldingChanged,
    PositionClosed,
    PositionsError,
    PriceUnknown,
    QuotaReached,
    TransactionIdTaken,
    is_outage,
    retry_after_seconds,
)
from positions.models import Agent, Position, Wallet

logger = logging.getLogger("positions.api")

CONFLICTS = (AlreadyOpen, HoldingChanged, PositionClosed, PriceUnknown, TransactionIdTaken)
# A row that was deleted between the check of its owner and the write.
GONE = (Agent.DoesNotExist, Wallet.DoesNotExist, Position.DoesNotExist)


class Conflict(APIException):
    """A request that the current state does not allow."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class TryAgain(APIException):
    """503, with a Retry-After header."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE

    def __init__(self) -> None:
        super().__init__()
        self.wait = retry_after_seconds()  # REST framework makes a header of it


class DatabaseUnavailable(TryAgain):
    """The database is unavailable, or has no connection to spare."""

    default_detail = "The database is unavailable. Try again later."
    default_code = "database_unavailable"


class PricesUnavailable(TryAgain):
    """The price cache is unavailable."""

    default_detail = "Prices are not available: the price cache cannot be reached."
    default_code = "prices_unavailable"


def camel(name: str) -> str:
    """Return a name in snake_case in camelCase, as the wire has it."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """Answer an exception that a view raised (REST framework's EXCEPTION_HANDLER)."""
    set_rollback()
    match error:
        case PositionsError():
            return _refused(error)
        case ValidationError():
            return Response(_invalid(error.detail), status=error.status_code)
        case Http404():
            return _detail("Not found.", status.HTTP_404_NOT_FOUND)
        case SuspiciousOperation():
            # The one that Django raises below a view of ours: DATA_UPLOAD_MAX_NUMBER_FIELDS.
            return _detail("This request has too many parameters.", status.HTTP_400_BAD_REQUEST)
        case PermissionDenied():
            return _detail("Not allowed.", status.HTTP_403_FORBIDDEN)
        case APIException():
            response = exception_handler(error, context)  # for its headers
            assert response is not None  # noqa: S101  it answers every APIException
            response.data = {"detail": _sentence(error.detail)}
            return response
    if isinstance(error, GONE):
        return _detail("Not found.", status.HTTP_404_NOT_FOUND)
    request = context.get("request")
    # The path only: the query and the body may be confidential.
    where = (getattr(request, "method", "?"), getattr(request, "path", "?"))
    if isinstance(error, IntegrityError):
        logger.warning("%s %r lost against another write.", *where, exc_info=error)
        return _detail(
            "This conflicts with another request made at the same time; send it again.",
            status.HTTP_409_CONFLICT,
        )
    if is_outage(error):
        logger.warning("%s %r: the database is unavailable: %s", *where, error)
        return handle(DatabaseUnavailable(), context)
    logger.error("%s %r failed.", *where, exc_info=error)
    return _detail("Internal server error.", status.HTTP_500_INTERNAL_SERVER_ERROR)


def _refused(error: PositionsError) -> Response:
    if isinstance(error, QuotaReached):
        response = _detail(error.message, status.HTTP_429_TOO_MANY_REQUESTS)
        response.headers["Retry-After"] = str(error.retry_after_seconds)
        return response
    code = status.HTTP_409_CONFLICT if isinstance(error, CONFLICTS) else status.HTTP_400_BAD_REQUEST
    if error.field is None:
        return _detail(error.message, code)
    name = camel(error.field)
    return Response({"errors": {name: [error.message.replace(error.field, name)]}}, status=code)


def _invalid(detail: Any) -> dict[str, Any]:
    if not isinstance(detail, dict):
        return {"detail": _sentence(detail)}
    general = detail.get(api_settings.NON_FIELD_ERRORS_KEY)
    if general:
        return {"detail": _sentence(general)}
    return {"errors": {name: list(_sentences(messages)) for name, messages in detail.items()}}


def _sentence(detail: Any) -> str:
    """Return what REST framework and simplejwt put into an exception's `detail` as one text."""
    if isinstance(detail, dict) and "detail" in detail:
        return str(detail["detail"])
    return " ".join(_sentences(detail))


def _sentences(detail: Any) -> Iterable[str]:
    if isinstance(detail, dict):
        detail = list(detail.values())
    if not isinstance(detail, list):
        return [str(detail)]
    return [sentence for item in detail for sentence in _sentences(item)]


def _detail(text: str, code: int) -> Response:
    return Response({"detail": text}, status=code)
