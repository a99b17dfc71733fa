"""The views of the REST API: find the caller's row, call the service, return the wire type.

Users reach only their own rows; another user's row is answered exactly like one that does not exist. Writes to
positions go through `positions.services`, which lock and check. A list takes the same number of queries however long it
is: the user, a COUNT and the rows; positions also take one MGET.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NoReturn, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError as InvalidValue
from django.db import transaction
from django.db.models import Count, Model, Q, QuerySet
from django.utils import timezone
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from positions import services
from positions.api import operations, serializers
from positions.api.errors import Conflict, PricesUnavailable
from positions.api.filters import (
    LARGEST,
    MAX_TOKENS,
    PositionFilter,
    WalletFilter,
    check_parameters,
    filtered,
    limit_of,
    position_of,
    whole_number,
)
from positions.api.pages import Pages
from positions.api.repeats import Once, Prepared
from positions.api.spans import span_of
from positions.api.wire import (
    agent_on_rest,
    event_on_rest,
    positions_on_rest,
    prices_on_rest,
    wallet_on_rest,
)
from positions.api.wire_history import results_on_rest, value_history_on_rest
from positions.history.reading import values
from positions.history.results import results
from positions.models import Agent, Position, Wallet, base58
from positions.models.recording import latest, missed
from positions.prices.cache import get_feed_status
from positions.prices.last_quotes import newest_prices, read_last_quotes
from positions.valkey import Unavailable

M = TypeVar("M", bound=Model)


class OwnedViewSet(GenericViewSet[M]):
    """Rows that belong to the caller."""

    pagination_class = Pages
    metadata_class = None  # OPTIONS would ask for a serializer per method, and describe its snake_case
    filter_class: ClassVar[Any] = None

    def on_the_wire(self, rows: Sequence[M]) -> list[Any]:
        raise NotImplementedError

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(filtered(request, self.get_queryset(), self.filter_class))
        return self.get_paginated_response(self.on_the_wire(list(page or [])))

    def retrieve(self, request: Request, pk: str) -> Response:
        return self.answer(self.get_object())

    def answer(self, row: M, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.on_the_wire([row])[0], status=code)

    def body(self, body_class: type[serializers.Body], *, partial: bool = False) -> dict[str, Any]:
        """Return the request's body as arguments. Raises ValidationError."""
        body = body_class(data=self.request.data, context={"request": self.request}, partial=partial)
        body.is_valid(raise_exception=True)
        return body.arguments


@operations.agents
class AgentViewSet(OwnedViewSet[Agent]):
    def get_queryset(self) -> QuerySet[Agent]:
        held = Count("positions", filter=Q(positions__status=Position.Status.OPEN))
        return Agent.objects.filter(owner_id=_caller(self.request)).annotate(open_positions=held)

    def on_the_wire(self, rows: Sequence[Agent]) -> list[Any]:
        return [agent_on_rest(agent, open_positions=getattr(agent, "open_positions", 0)) for agent in rows]

    def create(self, request: Request) -> Response:
        agent = Agent.objects.create(owner_id=_caller(request), **self.body(serializers.AgentBody))
        return self.answer(agent, status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: str) -> Response:
        agent = self.get_object()
        values = self.body(serializers.AgentBody, partial=True)
        for name, value in values.items():
            setattr(agent, name, value)
        if values:
            agent.save(update_fields=[*values, "updated_at"])
        return self.answer(agent)

    def destroy(self, request: Request, pk: str) -> Response:
        agent = self.get_object()
        with transaction.atomic():
            _refuse_while_holding("agent", agent.pk, agent=agent.pk)
            agent.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @action(detail=True, methods=["get"])
    def events(self, request: Request, pk: str) -> Response:
        """Return the events after number `after`, oldest first, or before number `before`, newest first.

        `lastSeq`, the number of the last one, is the next call's `after` or `before`.
        """
        agent = self.get_object()
        check_parameters(request, once={"after", "before", "limit", "position"})
        if {"after", "before"} <= request.query_params.keys():
            raise ValidationError({"before": ["Give either after or before."]})
        limit, position = limit_of(request), position_of(request)
        if "before" in request.query_params:
            edge = whole_number(request, "before", default=LARGEST, minimum=1, maximum=LARGEST)
            found = list(latest(agent.pk, before=edge, limit=limit + 1, position_id=position))
        else:
            edge = whole_number(request, "after", default=0, minimum=0, maximum=LARGEST)
            found = list(missed(agent.pk, after=edge, limit=limit + 1, position_id=position))
        page = found[:limit]
        return Response(
            {
                "events": [event_on_rest(event) for event in page],
                "lastSeq": page[-1].seq if page else edge,
                "more": len(found) > limit,
            }
        )

    @action(detail=True, methods=["get"], url_path="value-history")
    def value_history(self, request: Request, pk: str) -> Response:
        """Return the value of the agent's positions over a span of time."""
        agent, span = self.get_object(), span_of(request)
        points, more = values(agent.pk, span)
        return Response(value_history_on_rest(agent, span.interval, points, more=more))

    @action(detail=True, methods=["get"])
    def results(self, request: Request, pk: str) -> Response:
        """Return the results of the agent's closed positions, and the basis of today's change."""
        agent = self.get_object()
        check_parameters(request, once=())
        try:
            return Response(results_on_rest(results(agent)))
        except Unavailable as error:
            raise PricesUnavailable from error


@operations.wallets
class WalletViewSet(OwnedViewSet[Wallet]):
    filter_class = WalletFilter
    # Base58: an address with another sign, a NUL say, never reaches the database.
    lookup_value_regex = "[1-9A-HJ-NP-Za-km-z]{1,64}"

    def get_queryset(self) -> QuerySet[Wallet]:
        return Wallet.objects.filter(agent__owner_id=_caller(self.request))

    def on_the_wire(self, rows: Sequence[Wallet]) -> list[Any]:
        return [wallet_on_rest(wallet) for wallet in rows]

    def create(self, request: Request) -> Response:
        wallet = Wallet.objects.create(**self.body(serializers.WalletBody))
        return self.answer(wallet, status.HTTP_201_CREATED)

    def destroy(self, request: Request, pk: str) -> Response:
        wallet = self.get_object()
        with transaction.atomic():
            _refuse_while_holding("wallet", wallet.agent_id, wallet=wallet.pk)
            wallet.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


@operations.positions
class PositionViewSet(OwnedViewSet[Position]):
    filter_class = PositionFilter

    def get_queryset(self) -> QuerySet[Position]:
        return Position.objects.filter(agent__owner_id=_caller(self.request))

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


class PricesView(APIView):
    """The newest prices of the tokens named, or of the caller's open positions; unknown ones are left out."""

    metadata_class = None

    @operations.prices
    def get(self, request: Request) -> Response:
        check_parameters(request, once=(), often={"token"})
        if "token" in request.query_params:
            tokens = self._named(request)
        else:
            held = Position.objects.open().filter(agent__owner_id=_caller(request))
            tokens = list(held.order_by("token_address").values_list("token_address", flat=True).distinct())
        try:
            feed = get_feed_status()
        except Unavailable as error:
            raise PricesUnavailable from error
        prices = newest_prices(tokens)
        quotes = [prices.quotes[token] for token in tokens if token in prices.quotes]
        return Response(prices_on_rest(quotes, feed, now=timezone.now()))

    def _named(self, request: Request) -> list[str]:
        tokens = list(dict.fromkeys(request.query_params.getlist("token")))
        if len(tokens) > MAX_TOKENS:
            raise ValidationError({"token": [f"At most {MAX_TOKENS} tokens at once."]})
        for token in tokens:
            if len(token) > 64:
                raise ValidationError({"token": ["An address has at most 64 characters."]})
            try:
                base58(token)
            except InvalidValue as error:
                raise ValidationError({"token": error.messages}) from error
        return tokens


class UnknownPath(APIView):
    """Every other path below /api/: Django's own 404 would be HTML, and in debug mode list all URLs."""

    schema = None  # it has none
    authentication_classes = ()
    permission_classes = ()
    metadata_class = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotFound(
            "Not found." if request.path.endswith("/") else "Not found: paths here end in a slash."
        )


def _caller(request: Request) -> Any:
    return request.user.pk


def _refuse_while_holding(what: str, agent_id: Any, **where: Any) -> None:
    """Raise Conflict while there is an open position; no other is opened until the transaction ends."""
    Agent.objects.select_for_update().get(pk=agent_id)  # the lock that every writer of a position takes
    held = Position.objects.open().filter(**where).count()
    if held:
        noun = "position" if held == 1 else "positions"
        raise Conflict(f"This {what} has {held} open {noun}: close them first.")
