"""The views of positions. Every write goes through `positions.services`, which lock and check, and happens once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as InvalidValue
from django.db.models import QuerySet
from django.http import Http404
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from positions import services
from positions.api import operations, serializers
from positions.api.filters import PositionFilter
from positions.api.owned import OwnedViewSet, caller
from positions.api.repeats import Once, Prepared
from positions.api.wire import positions_on_rest
from positions.models import Position
from positions.models.compiled import Compiled
from positions.prices.last_quotes import newest_prices, read_last_quotes

_OWN = Compiled(Position.objects.order_by, "agent__owner_id", "pk")


@operations.positions
class PositionViewSet(OwnedViewSet[Position]):
    filter_class = PositionFilter

    def get_queryset(self) -> QuerySet[Position]:
        return Position.objects.filter(agent__owner_id=caller(self.request))

    def get_object(self) -> Position:
        """Return the caller's position of the path: like the base class, by a query that is built already."""
        with contextlib.suppress(InvalidValue):
            database = Position.objects.all().db
            for position in _OWN.find(caller(self.request), self.kwargs["pk"], using=database):
                return position
        raise Http404

    def on_the_wire(self, rows: Sequence[Position]) -> list[Any]:
        return list(positions_on_rest(rows))

    def create(self, request: Request) -> Response:
        return self._write(serializers.OpenBody, services.open_position, status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def buy(self, request: Request, pk: str) -> Response:
        return self._write(serializers.BuyBody, services.buy_more)

    @action(detail=True, methods=["post"])
    def airdrop(self, request: Request, pk: str) -> Response:
        return self._write(serializers.AirdropBody, services.book_airdrop)

    @action(detail=True, methods=["post"], url_path="transfer-in")
    def transfer_in(self, request: Request, pk: str) -> Response:
        return self._write(serializers.TransferInBody, services.transfer_in)

    @action(detail=True, methods=["post"], url_path="transfer-out")
    def transfer_out(self, request: Request, pk: str) -> Response:
        return self._write(serializers.TransferOutBody, services.transfer_out)

    @action(detail=True, methods=["post"], url_path="take-profit")
    def take_profit(self, request: Request, pk: str) -> Response:
        return self._write(serializers.TakeProfitBody, services.take_profit)

    @action(detail=True, methods=["post"], url_path="take-profit-plan")
    def take_profit_plan(self, request: Request, pk: str) -> Response:
        return self._write(serializers.TakeProfitPlanBody, services.plan_take_profits)

    @action(detail=True, methods=["post"], url_path="stop-loss")
    def stop_loss(self, request: Request, pk: str) -> Response:
        return self._write(serializers.StopLossBody, services.move_stop_loss)

    @action(detail=True, methods=["post"])
    def migrate(self, request: Request, pk: str) -> Response:
        return self._write(serializers.MigrateBody, services.migrate_token)

    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        return self._write(serializers.CloseBody, services.close_position)

    def _write(
        self,
        body_class: type[serializers.Body],
        service: Callable[..., Position],
        code: int = status.HTTP_200_OK,
    ) -> Response:
        """Answer with the position as the service has written it: once, however often the request is repeated."""
        once = Once(self.request, self._path(), body_class)

        def prepare() -> Prepared:
            # First: another user gets 404, valid input or not.
            position = self.get_object() if "pk" in self.kwargs else None
            arguments = once.arguments()
            if position:
                arguments["position_id"] = position.pk
            held = position.token_address if position else None
            prices = newest_prices([token for token in (held, arguments.get("token_address")) if token])
            quotes = dict(prices.quotes)

            def write() -> Position:
                row = service(**arguments)
                if held and row.token_address != held and row.token_address not in quotes:
                    # What the service has carried over from the mint before: in the database, if anywhere.
                    quotes.update(read_last_quotes([row.token_address]))
                return row

            return Prepared(write, replace(prices, quotes=quotes), code)

        return once.answer(prepare)

    def _path(self) -> str:
        """Return the request's path, with the position's id as it is written here."""
        key = self.kwargs.get("pk", "")
        with contextlib.suppress(ValueError):
            return self.request.path.replace(key, str(UUID(key)))
        return self.request.path
