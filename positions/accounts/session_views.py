"""Log in, stay logged in, log out: for the page. Bots take their tokens from `/api/token/`.

The refresh token is in an HttpOnly cookie, sent to these paths only. Requests that use or set the cookie need Django's
CSRF token. The access token is in the response, and the page keeps it in memory.
"""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from rest_framework import status
from rest_framework.authentication import CSRFCheck
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken

from positions.accounts.serializers import TokenBody
from positions.accounts.sessions import SESSION_CLAIM, end_session, expiry, find_user, session_of
from positions.accounts.throttle import TokenThrottle, saying_when_locked

COOKIE = "nexgent_session"
COOKIE_PATH = "/api/session/"


def check_login(request: Request) -> AbstractBaseUser:
    """Return the user whose name and password the body holds. Raises ValidationError, AuthenticationFailed, and
    LockedOut after too many failures, which this and every other log-in share (positions/accounts/logins.py).
    """
    body = TokenBody(data=request.data, context={"request": request})
    with saying_when_locked(request):
        body.is_valid(raise_exception=True)
    return body.user  # type: ignore[return-value]  # is_valid has raised where there is none


class SessionView(APIView):
    """`POST` logs in, `DELETE` logs out."""

    schema = None  # for the page alone
    metadata_class = None
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = [TokenThrottle]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        check_csrf(request)

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'  # else REST framework would answer 403 for 401

    def post(self, request: Request) -> Response:
        """Start a session, and end the browser's previous one."""
        user = check_login(request)
        _end(request)
        refresh = RefreshToken.for_user(user)
        refresh[SESSION_CLAIM] = str(uuid.uuid4())
        response = _answer(refresh, user)
        response.set_cookie(COOKIE, str(refresh), expires=expiry(refresh), **_cookie_options())
        return response

    def delete(self, request: Request) -> Response:
        """End the session everywhere: sockets are closed, tokens refused. Without one, there is nothing to do."""
        _end(request)
        return _without_cookie(Response(status=status.HTTP_204_NO_CONTENT))


class SessionRefreshView(SessionView):
    """`POST` returns a new access token; 204 without a session, 401 where it has ended."""

    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        if not request.COOKIES.get(COOKIE):
            return Response(status=status.HTTP_204_NO_CONTENT)
        refresh = _refresh_token(request)
        user = None
        if refresh is not None:
            user = find_user(refresh.get(api_settings.USER_ID_CLAIM, None), session_of(refresh))
        if refresh is None or user is None:
            return _without_cookie(
                Response({"detail": "This session has ended."}, status=status.HTTP_401_UNAUTHORIZED)
            )
        return _answer(refresh, user)


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


def _answer(refresh: RefreshToken, user: AbstractBaseUser) -> Response:
    response = Response({"access": str(refresh.access_token), "username": user.get_username()})
    response["Cache-Control"] = "no-store"
    return response


def _refresh_token(request: Request) -> RefreshToken | None:
    """Return the cookie's token; None where it is invalid or expired, or has no session."""
    try:
        token = RefreshToken(request.COOKIES.get(COOKIE, ""))  # type: ignore[arg-type]
        return None if session_of(token) is None else token
    except (TokenError, AuthenticationFailed, ValueError):
        return None


def _end(request: Request) -> None:
    refresh = _refresh_token(request)
    if refresh is None:
        return
    session_id, user_id = session_of(refresh), refresh.get(api_settings.USER_ID_CLAIM, None)
    if session_id is not None and find_user(user_id, session_id) is not None:
        end_session(session_id=session_id, user_id=user_id, expires_at=expiry(refresh))


def _cookie_options() -> dict[str, Any]:
    return {
        "path": COOKIE_PATH,
        "secure": not settings.DEBUG,
        "httponly": True,
        "samesite": "Strict",
    }


def _without_cookie(response: Response) -> Response:
    response.set_cookie(COOKIE, "", max_age=0, **_cookie_options())
    return response
