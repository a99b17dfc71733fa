"""Pages of a list, from which no row is missing even if the list changes meanwhile.

A page's links name the row at its edge and continue from there, whatever was closed, opened or removed meanwhile. With
`offset`, a row that leaves the list moves an unseen one onto a page that was already read. (REST framework's
CursorPagination compares one column, counts rows within equal values, and does not order null.)
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError as InvalidValue
from django.db.models import F, Model, OrderBy, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from positions.api.filters import LARGEST, limit_of, whole_number

LONGEST_CURSOR = 500


class Key(NamedTuple):
    """One column of a list's order, which the keys together make total."""

    name: str
    is_descending: bool

    def order(self) -> OrderBy:
        """Rows without a value come last in either direction; databases differ about it."""
        return OrderBy(F(self.name), descending=self.is_descending, nulls_last=True)

    def reversed_order(self) -> OrderBy:
        return OrderBy(F(self.name), descending=not self.is_descending, nulls_first=True)

    def beyond(self, value: Any, *, backward: bool) -> Q:
        """Return the condition for rows after this value, or before it."""
        if value is None:
            return Q(**{f"{self.name}__isnull": False}) if backward else Q(pk__in=())
        direction = "lt" if self.is_descending != backward else "gt"
        rows = Q(**{f"{self.name}__{direction}": value})
        return rows if backward else rows | Q(**{f"{self.name}__isnull": True})

    def at(self, value: Any) -> Q:
        return Q(**{f"{self.name}__isnull": True}) if value is None else Q(**{self.name: value})


class Cursor(NamedTuple):
    """A place between two rows: after the row with these values, or before it."""

    values: list[Any]
    backward: bool


class Pages(BasePagination):
    """`{count, next, previous, results}`. `limit` rows, from the start, an `offset` or a link's `cursor`.

    One COUNT more than the rows.
    """

    _request: Request
    _count: int
    _next: str | None
    _previous: str | None

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        limit = limit_of(request)
        offset = whole_number(request, "offset", default=0, minimum=0, maximum=LARGEST)
        keys = _keys(queryset)
        cursor = _cursor(request, queryset.model, keys)
        if cursor and offset:
            raise ValidationError({"offset": ["Give either a cursor or an offset."]})
        self._request, self._count = request, queryset.count()
        backward = cursor is not None and cursor.backward
        if cursor is not None:
            queryset = queryset.filter(_beyond(keys, cursor))
        order = [key.reversed_order() if backward else key.order() for key in keys]
        # An empty page costs the COUNT alone.
        rows = list(queryset.order_by(*order)[offset : offset + limit + 1]) if offset < self._count else []
        has_more, rows = len(rows) > limit, rows[:limit]
        if backward:
            rows.reverse()
        has_next, has_previous = (True, has_more) if backward else (has_more, bool(cursor or offset))
        self._next = self._link(keys, rows[-1], backward=False) if rows and has_next else None
        self._previous = self._link(keys, rows[0], backward=True) if rows and has_previous else None
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {"count": self._count, "next": self._next, "previous": self._previous, "results": data}
        )

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        properties = {"count": {"type": "integer"}, "next": link, "previous": link, "results": schema}
        return {"type": "object", "required": list(properties), "properties": properties}

    def _link(self, keys: Sequence[Key], row: Model, *, backward: bool) -> str:
        values = [getattr(row, key.name) for key in keys]
        texts = [None if value is None else str(value) for value in values]
        names = [key.name for key in keys]
        packed = json.dumps([names, texts, backward], separators=(",", ":")).encode()
        url = remove_query_param(self._request.build_absolute_uri(), "offset")
        return replace_query_param(url, "cursor", base64.urlsafe_b64encode(packed).decode().rstrip("="))


def _keys(queryset: QuerySet[Any]) -> list[Key]:
    """Return the list's order, or else its model's; the key comes last, so that no two rows are equal."""
    keys = []
    term: Any
    for term in (*(queryset.query.order_by or queryset.model._meta.ordering or ()), "pk"):
        if isinstance(term, OrderBy):
            keys.append(Key(term.expression.name, term.descending))  # type: ignore[union-attr]  # an F
        else:
            name = term.removeprefix("-")
            keys.append(Key(queryset.model._meta.pk.name if name == "pk" else name, term.startswith("-")))
    return list({key.name: key for key in reversed(keys)}.values())[::-1]


def _cursor(request: Request, model: type[Model], keys: Sequence[Key]) -> Cursor | None:
    """Return the query's `cursor`, None without one. Raises ValidationError where it is none of this list's."""
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        if len(text) > LONGEST_CURSOR:
            raise ValueError
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        names, texts, backward = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if names != [key.name for key in keys] or len(texts) != len(keys) or not isinstance(backward, bool):
            raise ValueError
        values = [_value(model, name, text) for name, text in zip(names, texts, strict=True)]
    except (ValueError, TypeError, RecursionError, binascii.Error, InvalidValue):
        raise ValidationError({"cursor": ["This is not a cursor of this list."]}) from None
    return Cursor(values, backward)


def _value(model: type[Model], name: str, text: Any) -> Any:
    field: Any = model._meta.get_field(name)
    if text is None:
        if not field.null:
            raise ValueError
        return None
    if not isinstance(text, str) or "\x00" in text:
        raise ValueError
    value = field.to_python(text)
    if getattr(value, "tzinfo", True) is None:
        raise ValueError
    return value


def _beyond(keys: Sequence[Key], cursor: Cursor) -> Q:
    """Return which rows lie on the cursor's other side: compared key by key, as the order does."""
    rows, equal = Q(pk__in=()), Q()
    for key, value in zip(keys, cursor.values, strict=True):
        rows |= equal & key.beyond(value, backward=cursor.backward)
        equal &= key.at(value)
    return rows
