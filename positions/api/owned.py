"""What the viewsets of this API share: users reach only their own rows.

Another user's row is answered exactly like one that does not exist. A list takes the same number of queries however
long it is: the user, a COUNT and the rows; positions also take one MGET.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from django.db.models import Model
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from positions.api import serializers
from positions.api.filters import filtered
from positions.api.pages import Pages
from positions.api.rules import Rules

M = TypeVar("M", bound=Model)


class OwnedViewSet(Rules, GenericViewSet[M]):
    """Rows that belong to the caller."""

    pagination_class = Pages
    filter_backends = ()
    filter_class: ClassVar[Any] = None

    def on_the_wire(self, rows: Sequence[M]) -> list[Any]:
        raise NotImplementedError

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(filtered(request, self.get_queryset(), self.filter_class))
        return self.get_paginated_response(self.on_the_wire(list(page or [])))

    def retrieve(self, request: Request, pk: str) -> Response:
        return self.answer(self.get_object())

    def answer(self, row: M, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.on_the_wire([row])[0], status=code)

    def body(self, body_class: type[serializers.Body], *, partial: bool = False) -> dict[str, Any]:
        """Return the request's body as arguments. Raises ValidationError."""
        body = body_class(data=self.request.data, context={"request": self.request}, partial=partial)
        body.is_valid(raise_exception=True)
        return body.arguments


def caller(request: Request) -> Any:
    """Return the key of the user who asks."""
    return request.user.pk
