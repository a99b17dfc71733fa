"""The views of agents, wallets and prices: find the caller's row, change it or call a service, return the wire type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from django.core.exceptions import ValidationError as InvalidValue
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from positions import services
from positions.api import operations, serializers
from positions.api.errors import Conflict, PricesUnavailable
from positions.api.filters import (
    LARGEST,
    MAX_TOKENS,
    WalletFilter,
    check_parameters,
    limit_of,
    position_of,
    whole_number,
)
from positions.api.owned import OwnedViewSet, caller
from positions.api.rules import Rules
from positions.api.spans import span_of
from positions.api.wire import agent_on_rest, event_on_rest, prices_on_rest, wallet_on_rest
from positions.api.wire_history import results_on_rest, value_history_on_rest
from positions.history.reading import values
from positions.history.results import results
from positions.models import LONGEST_ADDRESS, Agent, Mode, Position, Wallet, base58
from positions.models.recording import latest, missed
from positions.prices.cache import get_feed_status
from positions.prices.last_quotes import newest_prices
from positions.valkey import Unavailable


@operations.agents
class AgentViewSet(OwnedViewSet[Agent]):
    def get_queryset(self) -> QuerySet[Agent]:
        held = Count("positions", filter=Q(positions__status=Position.Status.OPEN))
        return Agent.objects.filter(owner_id=caller(self.request)).annotate(open_positions=held)

    def on_the_wire(self, rows: Sequence[Agent]) -> list[Any]:
        return [agent_on_rest(agent, open_positions=getattr(agent, "open_positions", 0)) for agent in rows]

    def create(self, request: Request) -> Response:
        agent = services.create_agent(owner=request.user, **self.body(serializers.AgentBody))
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
        agent, span = self.get_object(), span_of(request, also={"mode"})
        mode = request.query_params.get("mode")
        if mode is not None and mode not in Mode.values:
            raise ValidationError({"mode": [f"This must be one of {', '.join(Mode.values)}."]})
        points, more = values(agent.pk, span, mode=mode)
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
    lookup_field = "address"
    lookup_url_kwarg = "pk"
    # Base58: an address with another sign, a NUL say, never reaches the database.
    lookup_value_regex = f"[1-9A-HJ-NP-Za-km-z]{{1,{LONGEST_ADDRESS}}}"

    def get_queryset(self) -> QuerySet[Wallet]:
        return Wallet.objects.filter(owner_id=caller(self.request))

    def on_the_wire(self, rows: Sequence[Wallet]) -> list[Any]:
        return [wallet_on_rest(wallet) for wallet in rows]

    def create(self, request: Request) -> Response:
        wallet = services.create_wallet(owner=request.user, **self.body(serializers.WalletBody))
        return self.answer(wallet, status.HTTP_201_CREATED)

    def destroy(self, request: Request, pk: str) -> Response:
        wallet = self.get_object()
        with transaction.atomic():
            _refuse_while_holding("wallet", wallet.agent_id, wallet=wallet.pk)
            wallet.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class PricesView(Rules):
    """The newest prices of the tokens named, or of the caller's open positions; unknown ones are left out."""

    @operations.prices
    def get(self, request: Request) -> Response:
        check_parameters(request, once=(), often={"token"})
        if "token" in request.query_params:
            tokens = self._named(request)
        else:
            held = Position.objects.open().filter(agent__owner_id=caller(request))
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
            if len(token) > LONGEST_ADDRESS:
                raise ValidationError({"token": [f"An address has at most {LONGEST_ADDRESS} characters."]})
            try:
                base58(token)
            except InvalidValue as error:
                raise ValidationError({"token": error.messages}) from error
        return tokens


class UnknownPath(Rules):
    """Every other path below /api/: Django's own 404 would be HTML, and in debug mode list all URLs."""

    schema = None  # it has none
    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotFound(
            "Not found." if request.path.endswith("/") else "Not found: paths here end in a slash."
        )


def _refuse_while_holding(what: str, agent_id: Any, **where: Any) -> None:
    """Raise Conflict while there is an open position; no other is opened until the transaction ends."""
    Agent.objects.select_for_update().get(pk=agent_id)  # the lock that every writer of a position takes
    held = Position.objects.open().filter(**where).count()
    if held:
        noun = "position" if held == 1 else "positions"
        raise Conflict(f"This {what} has {held} open {noun}: close them first.")
