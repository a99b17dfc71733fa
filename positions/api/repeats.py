"""Writes happen once: a repeated request gets the answer of the first, and writes nothing.

A client that got no answer cannot know whether its trade was booked. It identifies each write with an
`Idempotency-Key` header and repeats the request until it gets an answer (draft-ietf-httpapi-idempotency-key-header-07).
docs/adr/0010 has the decisions that the draft leaves open. A trade is also identified by its transaction id: whether a
request repeats one, the service decides (positions.services.entries); the answer is kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.http import Http404
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from positions.api.errors import GONE, Conflict
from positions.api.json import ExactJSONRenderer
from positions.api.serializers import Body
from positions.api.wire import position_on_rest
from positions.errors import PositionsError
from positions.history.sales import sale_prices
from positions.models import Position, StoredAnswer, Trade
from positions.prices.quotes import Prices

HEADER = "Idempotency-Key"
LONGEST_KEY = 255

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class KeyReused(Conflict):
    """A key that was used for another request before."""

    default_code = "key_reused"


class Prepared(NamedTuple):
    """A write that is about to be made."""

    write: Callable[[], Position]
    prices: Prices
    """For the answer. Read before the transaction: a price cache that hangs must not hold the agent's lock."""
    status: int


class Once:
    """One request that writes, with its key; without a key, a request like any other."""

    def __init__(self, request: Request, path: str, body_class: type[Body]) -> None:
        """`path`: normalised, so that two spellings of a position's id are one path."""
        self._request = request
        self._user_id: Any = request.user.pk
        self._key = request.headers.get(HEADER)
        self._path = path
        self._body_class = body_class

    def arguments(self) -> dict[str, Any]:
        """Return what the body says, for a service to take. Raises ValidationError, also where the key is invalid."""
        if self._key is not None and not _is_valid(self._key):
            raise ValidationError(
                {HEADER: [f"This must have 1 to {LONGEST_KEY} printable ASCII characters."]}
            )
        self._body.is_valid(raise_exception=True)
        return self._body.arguments

    @cached_property
    def _body(self) -> Body:
        # Parsed when it is first needed: a stranger's request is refused before that.
        return self._body_class(data=self._request.data, context={"request": self._request})

    @cached_property
    def _content(self) -> dict[str, Any]:
        return {name: _canonical(value) for name, value in self._body.content.items()}

    def answer(self, prepare: Callable[[], Prepared]) -> Response:
        """Return the answer of the first of these requests; where this is the first, keep its answer.

        `prepare` reads what needs no lock. What it or the service refuses is not kept. Of two at the same moment, the
        agent's lock lets one go first. The other is refused by what that one has done, or by its key at the latest:
        rolled back, it gets that one's answer.
        """
        try:
            prepared = prepare()
            with transaction.atomic():
                return self._keep(prepared.write(), prepared)
        except (PositionsError, IntegrityError, Http404, ValidationError, *GONE):
            stored = self._stored()
            if stored is None:
                raise
        return _response(stored.status, stored.body)

    def _keep(self, position: Position, prepared: Prepared) -> Response:
        """Store the answer by the key, by the trade, or by both, and return it; of a trade's repeat, the first answer.

        Raises IntegrityError where the key is used.
        """
        row = position_on_rest(position, prepared.prices, sale_prices([position]))
        status, body = prepared.status, ExactJSONRenderer().render(row).decode()
        transaction_id = self._body.arguments.get("transaction_id")
        trade_id = None if transaction_id is None else position.booked_trade_id
        if transaction_id is not None and trade_id is None:
            # Under the agent's lock: no other request stores an answer for this trade.
            trades = Trade.objects.filter(wallet_id=position.wallet_id, transaction_id=transaction_id)
            known: Any = trades.values_list("pk", "answer__status", "answer__body").first()
            if known and known[1] is not None:
                _, status, body = known
            elif known:
                trade_id = known[0]
        if self._key is not None or trade_id is not None:
            StoredAnswer.objects.create(
                user_id=self._user_id,
                key=self._key,
                trade_id=trade_id,
                path=self._path,
                content=self._content,
                status=status,
                body=body,
            )
        return _response(status, body)

    def _stored(self) -> StoredAnswer | None:
        """Return what the key's first request was answered, None where there was none. Raises KeyReused."""
        if self._key is None or not _is_valid(self._key):
            return None
        try:
            content = self._content
        except APIException:  # no JSON, or no such fields: nothing like this was ever booked
            return None
        stored = StoredAnswer.objects.filter(user_id=self._user_id, key=self._key).first()
        if stored and (stored.path, stored.content) != (self._path, content):
            raise KeyReused(self._difference(stored))
        return stored

    def _difference(self, stored: StoredAnswer) -> str:
        used = f"was used for POST {stored.path} at {stored.created_at:%Y-%m-%d %H:%M:%S} UTC"
        if stored.path == self._path:
            names = sorted({*stored.content, *self._content})
            differ = [name for name in names if stored.content.get(name) != self._content.get(name)]
            used += f", with another body: {', '.join(differ)}"
        return f"The {HEADER} {self._key!r} {used}. Nothing was booked now: a new request needs a new key."


def _is_valid(key: str) -> bool:
    return 1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()


def _response(status: int, body: str) -> Response:
    return Response(msgspec.Raw(body.encode()), status=status)


def _canonical(value: Any) -> Any:
    """Return a value as JSON that is equal where the value is: the numbers 1, 1.0 and "1" are one."""
    match value:
        case Decimal():
            return str(_EXACT.normalize(value) or 0)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case UUID():
            return str(value)
    return value
