"""The paths of the REST API, mounted at /api/. Every one ends in a slash."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path
from rest_framework.routers import SimpleRouter

from positions.api.docs import docs
from positions.api.schema import SchemaView
from positions.api.tokens import RefreshView, RevokeView, TokenView
from positions.api.views import AgentViewSet, PositionViewSet, PricesView, UnknownPath, WalletViewSet

router = SimpleRouter()
router.register("agents", AgentViewSet, basename="agent")
router.register("wallets", WalletViewSet, basename="wallet")
router.register("positions", PositionViewSet, basename="position")

urlpatterns: list[URLPattern | URLResolver] = [
    path("token/", TokenView.as_view(), name="token"),
    path("token/refresh/", RefreshView.as_view(), name="token-refresh"),
    path("token/revoke/", RevokeView.as_view(), name="token-revoke"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", docs, name="docs"),
    path("prices/", PricesView.as_view(), name="prices"),
    *router.urls,
    re_path(r"", UnknownPath.as_view(), name="unknown-path"),
]
