"""`POST /api/socket-ticket/`: a ticket for one socket, for an access token."""

from __future__ import annotations

import logging

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.tokens import Token

from positions import valkey
from positions.accounts import tickets
from positions.api import operations
from positions.api.rules import Rules

logger = logging.getLogger(__name__)


class TicketsUnavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = (
        "There are no tickets right now: Redis or Valkey is unavailable. Open the socket with the access token, or try"
        " again later."
    )


class SocketTicketView(Rules):
    permission_classes = [IsAuthenticated]  # a read-only token watches, so it may have a ticket

    @operations.socket_ticket
    def post(self, request: Request) -> Response:
        assert isinstance(request.auth, Token)  # noqa: S101  the one kind of authentication that there is
        try:
            ticket = tickets.issue(request.auth.payload)
        except valkey.Unavailable as error:
            logger.warning("no ticket for a socket: %s", error)
            raise TicketsUnavailable from None
        response = Response({"ticket": ticket.text, "expiresIn": ticket.seconds})
        response["Cache-Control"] = "no-store"
        return response
