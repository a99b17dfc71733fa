"""Rows of the admin as CSV, streamed: a hundred thousand need no more memory than a few."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import chain
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from positions.books.cells import cell
from positions.models.reading import in_parts

ROWS_PER_CHUNK = 1000

Columns = Sequence[tuple[str, Callable[[Any], object]]]


def as_csv(
    rows: QuerySet[Any], columns: Columns, *, name: str, prepare: Callable[[list[Any]], object] = list
) -> StreamingHttpResponse:
    """Answer with these rows, a column for each name and function.

    A query for their keys, one for each thousand, and what `prepare` does with these before they are written.
    """
    response = StreamingHttpResponse(_lines(rows, columns, prepare), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-{timezone.now():%Y-%m-%d}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


async def _lines(
    rows: QuerySet[Any], columns: Columns, prepare: Callable[[list[Any]], object]
) -> AsyncIterator[str]:
    # Asynchronous, as the servers are: they would read a synchronous one to its end before they send anything.
    header = [[title for title, _ in columns]]
    parts = in_parts(rows, size=ROWS_PER_CHUNK)
    next_part = sync_to_async(lambda: next(parts, None))
    while (part := await next_part()) is not None:
        await sync_to_async(prepare)(part)
        yield _text(header, part, columns)
        header = []
    if header:
        yield _text(header, [], columns)


def _text(header: list[list[str]], rows: list[Any], columns: Columns) -> str:
    out = io.StringIO()
    cells = ([cell(value(row)) for _, value in columns] for row in rows)
    csv.writer(out).writerows(chain(header, cells))
    return out.getvalue()
