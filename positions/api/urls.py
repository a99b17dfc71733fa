"""The paths of the REST API, mounted at /api/. Every one ends in a slash."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path
from rest_framework.routers import SimpleRouter
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from positions.api.serializers import RefreshBody, TokenBody
from positions.api.views import AgentViewSet, PositionViewSet, PricesView, UnknownPath, WalletViewSet

router = SimpleRouter()
router.register("agents", AgentViewSet, basename="agent")
router.register("wallets", WalletViewSet, basename="wallet")
router.register("positions", PositionViewSet, basename="position")

urlpatterns: list[URLPattern | URLResolver] = [
    path("token/", TokenObtainPairView.as_view(serializer_class=TokenBody), name="token"),
    path("token/refresh/", TokenRefreshView.as_view(serializer_class=RefreshBody), name="token-refresh"),
    path("prices/", PricesView.as_view(), name="prices"),
    *router.urls,
    re_path(r"", UnknownPath.as_view(), name="unknown-path"),
]
