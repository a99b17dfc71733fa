"""Log in, stay logged in, log out: for the page. Bots take their tokens from `/api/token/`.

The refresh token is in an HttpOnly cookie, sent to these paths only. Requests that use or set the cookie need Django's
CSRF token. The access token is in the response, and the page keeps it in memory.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from rest_framework import status
from rest_framework.authentication import CSRFCheck
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from positions.accounts.families import Ending, Kind, RefreshToken, access_for, end, family_of
from positions.accounts.identity import Refused
from positions.accounts.serializers import logged_in
from positions.accounts.tokens import PublicTokenView
from positions.models import TokenFamily

COOKIE = "nexgent_session"


class SessionView(PublicTokenView):
    """`POST` logs in, `DELETE` logs out."""

    schema = None  # for the page alone

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        check_csrf(request)

    def post(self, request: Request) -> Response:
        """Start a session, and end the browser's previous one."""
        user, pair = logged_in(request, Kind.BROWSER)
        _end(request, Ending.NEW_LOGIN)
        response = _answer(user, pair.access)
        expires_at = datetime.fromtimestamp(pair.refresh["exp"], tz=UTC)
        response.set_cookie(COOKIE, str(pair.refresh), expires=expires_at, **_cookie_options(request))
        return response

    def delete(self, request: Request) -> Response:
        """End the session everywhere: sockets are closed, tokens refused. Without one, there is nothing to do."""
        _end(request, Ending.LOGGED_OUT)
        return _without_cookie(request, Response(status=status.HTTP_204_NO_CONTENT))


class SessionRefreshView(SessionView):
    """`POST` returns a new access token; 204 without a session, 401 where it has ended."""

    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        if not request.COOKIES.get(COOKIE):
            return Response(status=status.HTTP_204_NO_CONTENT)
        refresh = _refresh_token(request)
        try:
            if refresh is not None:
                return _answer(*access_for(refresh))
            why = "This session has ended."
        except Refused as refused:
            why = str(refused)
        return _without_cookie(request, Response({"detail": why}, status=status.HTTP_401_UNAUTHORIZED))


def check_csrf(request: Request) -> None:
    """Raise PermissionDenied unless the request comes from a page of this server."""

    def not_reached(_: Any) -> NoReturn:
        raise AssertionError

    check = CSRFCheck(not_reached)
    # Of Django's own request (docs/private-apis.md): REST framework's would parse the body for a form's field.
    django_request = getattr(request, "_request", request)
    check.process_request(django_request)
    reason = check.process_view(django_request, not_reached, (), {})
    if reason:
        raise PermissionDenied(f"{reason} Load the page again.")


def _answer(user: AbstractBaseUser, access: AccessToken) -> Response:
    # The page links to the admin for staff; what they may do there, Django decides.
    is_staff = bool(getattr(user, "is_staff", False))
    response = Response({"access": str(access), "username": user.get_username(), "isStaff": is_staff})
    response["Cache-Control"] = "no-store"
    return response


def _refresh_token(request: Request) -> RefreshToken | None:
    """Return the cookie's token; None where it is invalid or expired."""
    try:
        return RefreshToken(request.COOKIES.get(COOKIE, ""))  # type: ignore[arg-type]
    except TokenError:
        return None


def _end(request: Request, because: TokenFamily.Ending) -> None:
    end(family_of(request.COOKIES.get(COOKIE, "")), because)


def _cookie_options(request: Request) -> dict[str, Any]:
    return {
        "path": request.path.removesuffix("refresh/"),  # that of SessionView, wherever it is mounted
        "secure": not settings.DEBUG,
        "httponly": True,
        "samesite": "Strict",
    }


def _without_cookie(request: Request, response: Response) -> Response:
    response.set_cookie(COOKIE, "", max_age=0, **_cookie_options(request))
    return response
