"""The OpenAPI description of what a request gives besides its body: in the query, the path, the headers."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter

from positions.api import schema
from positions.api.filters import DEFAULT_LIMIT, LARGEST, MAX_LIMIT, MAX_TOKENS, MOST_HIT, YES_OR_NO
from positions.api.pages import LONGEST_CURSOR
from positions.api.repeats import HEADER, LONGEST_KEY
from positions.api.spans import DEFAULT_INTERVAL, DEFAULT_POINTS, INTERVALS, MAX_POINTS
from positions.books.trades import Side
from positions.models import Mode, Position


def _query(name: str, form: Any, description: str, **options: Any) -> OpenApiParameter:
    return OpenApiParameter(name, form, description=description, **options)


def _whole(name: str, description: str, *, minimum: int, maximum: int, default: int) -> OpenApiParameter:
    form = {"type": "integer", "minimum": minimum, "maximum": maximum, "default": default}
    return _query(name, form, description)


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


LIMIT = _whole("limit", "Maximum number of results.", minimum=1, maximum=MAX_LIMIT, default=DEFAULT_LIMIT)
PAGE = (
    LIMIT,
    _query("cursor", _text(LONGEST_CURSOR), "Where `next` or `previous` of another page continues."),
    _whole("offset", "How many results to skip, without a cursor.", minimum=0, maximum=LARGEST, default=0),
)
AGENT = _query("agent", UUID, "Only of this agent.")
BY_UUID = (OpenApiParameter("id", UUID, OpenApiParameter.PATH),)
FILTERS = (
    AGENT,
    _query("wallet", _text(64), "Only of the wallet with this address."),
    _query("token", _text(64), "Only of the token with this address."),
    _query("symbol", _text(32), "Only of tokens with this symbol; upper and lower case are the same."),
    _query("status", str, "Open positions by default.", enum=[*Position.Status.values, "all"]),
    _query("takeProfit", str, "Whether a take-profit level has been hit.", enum=list(YES_OR_NO)),
    _query(
        "takeProfitLevelsHit",
        {"type": "integer", "minimum": 0, "maximum": MOST_HIT},
        "Only with exactly this many levels hit.",
    ),
    _query("moonBag", str, "Whether the rest is a moon bag.", enum=list(YES_OR_NO)),
    _query(
        "ordering",
        str,
        "By opening time, or by closing time with open positions last.",
        enum=["createdAt", "-createdAt", "closedAt", "-closedAt"],
    ),
)
AFTER = _whole("after", "Only events after this `seq`, oldest first.", minimum=0, maximum=LARGEST, default=0)
BEFORE = _query(
    "before",
    {"type": "integer", "minimum": 1, "maximum": LARGEST},
    "Only events before this `seq`, newest first, instead of `after`.",
)
SPAN = (
    _query("interval", str, "A minute or an hour.", enum=list(INTERVALS), default=DEFAULT_INTERVAL),
    _query("from", datetime, "The start of the span: the earliest results after it are returned."),
    _query("to", datetime, "The end of the span; without `from`, the latest results before it are returned."),
    _whole("limit", "Maximum number of results.", minimum=1, maximum=MAX_POINTS, default=DEFAULT_POINTS),
)
MODE = _query(
    "mode",
    str,
    "Only the positions in live, or in simulated wallets. Points that do not tell them apart are left out.",
    enum=Mode.values,
)
POSITION = _query("position", UUID, "Only of this position.")
TOKENS = _query(
    "token",
    {"type": "array", "items": schema.ADDRESS},
    f"Token addresses, at most {MAX_TOKENS} different ones. By default, those of your open positions.",
)
OF_TRADES = (
    *(each for each in FILTERS if each.name in {"agent", "wallet", "token"}),
    POSITION,
    _query("side", str, "Only of this kind.", enum=list(Side)),
    _query("from", datetime, "Only those executed at this moment or later."),
    _query("to", datetime, "Only those executed before this moment."),
    _query("ordering", str, "Newest first by default.", enum=["executedAt", "-executedAt"]),
    *PAGE,
)
TOKEN_IN_PATH = OpenApiParameter("token", schema.ADDRESS, OpenApiParameter.PATH)
ONCE = OpenApiParameter(
    HEADER,
    # An HTTP library may strip spaces at the ends.
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    OpenApiParameter.HEADER,
    description="Identifies this write. The same request with the same key returns the first answer and writes nothing;"
    " a different request with it answers 409. Use a new key for each write, such as a UUID.",
)
