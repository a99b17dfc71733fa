"""The paths of the REST API, mounted at /api/. Every one ends in a slash."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path
from rest_framework.routers import SimpleRouter

from positions.api.docs import docs
from positions.api.history import CandlesView
from positions.api.overview import OverviewView
from positions.api.positions import PositionViewSet
from positions.api.schema import SchemaView
from positions.api.trades import PositionTradeViewSet, TradeViewSet
from positions.api.views import AgentViewSet, PricesView, UnknownPath, WalletViewSet

router = SimpleRouter()
router.register("agents", AgentViewSet, basename="agent")
router.register("wallets", WalletViewSet, basename="wallet")
router.register("positions", PositionViewSet, basename="position")

urlpatterns: list[URLPattern | URLResolver] = [
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", docs, name="docs"),
    path("overview/", OverviewView.as_view(), name="overview"),
    path("prices/", PricesView.as_view(), name="prices"),
    # Base58: an address with another sign, a NUL say, never reaches the database.
    re_path(
        r"^prices/(?P<token>[1-9A-HJ-NP-Za-km-z]{1,64})/candles/$", CandlesView.as_view(), name="candles"
    ),
    path("trades/", TradeViewSet.as_view({"get": "list"}), name="trade-list"),
    path("positions/<pk>/trades/", PositionTradeViewSet.as_view({"get": "list"}), name="position-trades"),
    *router.urls,
    re_path(r"", UnknownPath.as_view(), name="unknown-path"),
]
