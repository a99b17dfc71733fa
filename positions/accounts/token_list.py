"""`/api/tokens/`: a user's own tokens, a row for each login and each `issue_token`; one is revoked by deleting it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_view
from rest_framework import status
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from positions.accounts.families import Ending, end
from positions.accounts.identity import FAMILY_CLAIM
from positions.api.operations import INPUT, operation
from positions.api.owned import OwnedViewSet, caller
from positions.api.parameters import BY_UUID, PAGE
from positions.api.wire_tokens import TokenOnRest, token_on_rest
from positions.models import TokenFamily


@extend_schema_view(
    list=operation("List your logins and issued tokens", TokenOnRest, parameters=PAGE, refuses=INPUT),
    destroy=operation(
        "Revoke all tokens of a login, or an issued one; its sockets are closed",
        None,
        code=204,
        parameters=BY_UUID,
        refuses=(404,),
    ),
)
class TokenViewSet(OwnedViewSet[TokenFamily]):
    """Ended ones are listed until their tokens would have expired."""

    def get_queryset(self) -> QuerySet[TokenFamily]:
        return TokenFamily.objects.filter(user_id=caller(self.request))

    def on_the_wire(self, rows: Sequence[TokenFamily]) -> list[Any]:
        own: Any = self.request.auth
        return [token_on_rest(row, current=str(row.pk) == own.get(FAMILY_CLAIM)) for row in rows]

    def destroy(self, request: Request, pk: UUID) -> Response:
        """Revoke it. One that has ended already stays as it is, with the reason that it has."""
        family = get_object_or_404(self.get_queryset(), pk=pk)
        end(TokenFamily.objects.filter(pk=family.pk), Ending.REVOKED)
        return Response(status=status.HTTP_204_NO_CONTENT)
