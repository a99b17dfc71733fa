"""The paths of tokens and sessions, mounted at /api/ before the API's own, whose last one catches unknown paths."""

from __future__ import annotations

from django.urls import path

from positions.accounts.session_views import SessionRefreshView, SessionView
from positions.accounts.ticket_views import SocketTicketView
from positions.accounts.token_list import TokenViewSet
from positions.accounts.tokens import RefreshView, RevokeView, TokenView

urlpatterns = [
    path("session/", SessionView.as_view(), name="session"),
    path("session/refresh/", SessionRefreshView.as_view(), name="session-refresh"),
    path("socket-ticket/", SocketTicketView.as_view(), name="socket-ticket"),
    path("token/", TokenView.as_view(), name="token"),
    path("token/refresh/", RefreshView.as_view(), name="token-refresh"),
    path("token/revoke/", RevokeView.as_view(), name="token-revoke"),
    path("tokens/", TokenViewSet.as_view({"get": "list"}), name="token-list"),
    path("tokens/<uuid:pk>/", TokenViewSet.as_view({"delete": "destroy"}), name="token-detail"),
]
