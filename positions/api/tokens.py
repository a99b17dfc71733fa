"""Where tokens come from: a login, or a refresh token."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from positions.api import operations
from positions.api.serializers import RefreshBody, TokenBody


class TokenView(TokenObtainPairView):
    serializer_class = TokenBody

    @operations.token
    def post(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().post(request, *args, **kwargs)


class RefreshView(TokenRefreshView):
    serializer_class = RefreshBody

    @operations.token_refresh
    def post(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().post(request, *args, **kwargs)
