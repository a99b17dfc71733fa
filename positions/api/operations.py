"""The OpenAPI description of each operation, as decorators of the views. Changes nothing about what they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from msgspec import Struct
from rest_framework.serializers import BaseSerializer

from positions.api import schema, serializers, wire, wire_history, wire_overview, wire_trades
from positions.api.filters import DEFAULT_LIMIT, LARGEST, MAX_LIMIT, MAX_TOKENS, MOST_HIT, YES_OR_NO
from positions.api.pages import LONGEST_CURSOR
from positions.api.repeats import HEADER, LONGEST_KEY
from positions.api.serializers import Body
from positions.api.spans import DEFAULT_INTERVAL, DEFAULT_POINTS, INTERVALS, MAX_POINTS
from positions.books.trades import Side
from positions.models import Mode, Position


def _reference(struct: type[Struct]) -> dict[str, str]:
    return {"$ref": schema.REF.format(name=struct.__name__)}


ANY_INPUT = {"anyOf": [_reference(schema.Errors), _reference(schema.Detail)]}
REFUSALS: dict[int, tuple[Any, str]] = {
    400: (ANY_INPUT, "Invalid input."),
    401: (schema.Detail, "The token is missing, invalid or expired."),
    403: (schema.Detail, "The token's scope is `read`: it may not write."),
    404: (schema.Detail, "Not found, or another user's."),
    406: (schema.Detail, "Responses are application/json only."),
    409: (ANY_INPUT, "The current state does not allow it."),
    413: (schema.Detail, "The body is too large."),
    415: (schema.Detail, "The body is not application/json."),
    429: (
        schema.Detail,
        "Too many requests, too many failed logins, or a quota that is reached. `Retry-After` says when to try again.",
    ),
    500: (schema.Detail, "Internal server error."),
    503: (schema.Detail, "The database, or Redis or Valkey, is unavailable."),
}
INPUT, BODY = (400,), (400, 413, 415)


def operation(
    summary: str,
    answer: type[Struct] | None,
    *,
    code: int = 200,
    body: type[BaseSerializer[Any]] | None = None,
    parameters: Sequence[OpenApiParameter] = (),
    refuses: Sequence[int] = (),
    tag: str | None = None,
    public: bool = False,
) -> Callable[[Any], Any]:
    """Describe a method of a view; a list's `answer` is one of its rows.

    All can answer 406, 429, 500 and 503, those that are not `public` 401, and of these those that write 403.
    """
    writes = body is not None or answer is None
    private = () if public else (401, 403) if writes else (401,)
    codes = sorted({*refuses, *(BODY if body else ()), *private, 406, 429, 500, 503})
    responses: dict[int, Any] = {code: _response(answer, "Success.")}
    responses |= {refusal: _response(*REFUSALS[refusal]) for refusal in codes}
    return extend_schema(
        summary=summary,
        description=summary,  # else the docstring of the method, or of the class, which is not for users
        request=body,
        responses=responses,
        parameters=list(parameters),
        tags=[tag] if tag else None,
    )


def _response(form: Any, description: str) -> OpenApiResponse:
    return OpenApiResponse(_reference(form) if isinstance(form, type) else form, description)


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
        "Only with exactly so many levels hit.",
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
    "Only of the positions in wallets of live, or of simulated money, from when on the points tell them apart.",
    enum=Mode.values,
)
POSITION = _query("position", UUID, "Only of this position.")
TOKENS = _query(
    "token",
    {"type": "array", "items": schema.ADDRESS},
    f"Token addresses, at most {MAX_TOKENS} different ones. By default, those of your open positions.",
)

agents = extend_schema_view(
    list=operation("List your agents", wire.AgentOnRest, parameters=PAGE, refuses=INPUT),
    create=operation(
        "Create an agent", wire.AgentOnRest, code=201, body=serializers.AgentBody, refuses=(409,)
    ),
    retrieve=operation("Get an agent", wire.AgentOnRest, parameters=BY_UUID, refuses=(404,)),
    partial_update=operation(
        "Rename an agent, or change its trading mode",
        wire.AgentOnRest,
        body=serializers.AgentBody,
        parameters=BY_UUID,
        refuses=(404,),
    ),
    destroy=operation(
        "Delete an agent without open positions", None, code=204, parameters=BY_UUID, refuses=(404, 409)
    ),
    events=operation(
        "List the events of an agent's positions",
        schema.EventPage,
        parameters=(*BY_UUID, AFTER, BEFORE, LIMIT, POSITION),
        refuses=(400, 404),
    ),
    value_history=operation(
        "Get the value of an agent's positions over time, with the net flow of SOL",
        wire_history.ValueHistoryOnRest,
        parameters=(*BY_UUID, *SPAN, MODE),
        refuses=(400, 404),
    ),
    results=operation(
        "Get an agent's results: the profit of its closed positions, and the basis of today's change",
        wire_history.ResultsOnRest,
        parameters=BY_UUID,
        refuses=(400, 404),
    ),
)
wallets = extend_schema_view(
    list=operation("List your wallets", wire.WalletOnRest, parameters=(AGENT, *PAGE), refuses=INPUT),
    create=operation(
        "Add a wallet", wire.WalletOnRest, code=201, body=serializers.WalletBody, refuses=(409,)
    ),
    retrieve=operation("Get a wallet", wire.WalletOnRest, refuses=(404,)),
    destroy=operation("Delete a wallet without open positions", None, code=204, refuses=(404, 409)),
)


ONCE = OpenApiParameter(
    HEADER,
    # An HTTP library may strip spaces at the ends.
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    OpenApiParameter.HEADER,
    description="Identifies this write. The same request with the same key returns the first answer and writes nothing;"
    " a different request with it answers 409. Use a new key for each write, such as a UUID.",
)


def _write(summary: str, body: type[Body]) -> Callable[[Any], Any]:
    return operation(summary, wire.PositionOnRest, body=body, parameters=(*BY_UUID, ONCE), refuses=(404, 409))


positions = extend_schema_view(
    list=operation("List your positions", wire.PositionOnRest, parameters=(*FILTERS, *PAGE), refuses=INPUT),
    create=operation(
        "Open a position",
        wire.PositionOnRest,
        code=201,
        body=serializers.OpenBody,
        parameters=(ONCE,),
        refuses=(409,),
    ),
    retrieve=operation("Get a position", wire.PositionOnRest, parameters=BY_UUID, refuses=(404,)),
    buy=_write("Buy more", serializers.BuyBody),
    airdrop=_write("Book an airdrop", serializers.AirdropBody),
    transfer_in=_write("Book a transfer from elsewhere", serializers.TransferInBody),
    transfer_out=_write("Book a transfer to elsewhere", serializers.TransferOutBody),
    take_profit=_write("Sell part or all", serializers.TakeProfitBody),
    take_profit_plan=_write("Begin or remove a plan of take-profits", serializers.TakeProfitPlanBody),
    stop_loss=_write("Move or remove the stop loss", serializers.StopLossBody),
    migrate=_write("Migrate a position to another mint or symbol", serializers.MigrateBody),
    close=_write("Close a position", serializers.CloseBody),
)
_OF_TRADES = (
    *(each for each in FILTERS if each.name in {"agent", "wallet", "token"}),
    POSITION,
    _query("side", str, "Only of this kind.", enum=list(Side)),
    _query("from", datetime, "Only those executed at this moment or later."),
    _query("to", datetime, "Only those executed before this moment."),
    _query("ordering", str, "Newest first by default.", enum=["executedAt", "-executedAt"]),
    *PAGE,
)
trades = extend_schema_view(
    list=operation("List your trades", wire_trades.TradeOnRest, parameters=_OF_TRADES, refuses=INPUT)
)
trades_of_position = extend_schema_view(
    list=operation(
        "List the trades of a position",
        wire_trades.TradeOnRest,
        parameters=(*BY_UUID, *_OF_TRADES),
        refuses=(400, 404),
    )
)
candles = operation(
    "Get the candles of a token that one of your agents holds or held, or of wrapped SOL",
    wire_history.CandlesOnRest,
    parameters=(OpenApiParameter("token", schema.ADDRESS, OpenApiParameter.PATH), *SPAN),
    refuses=(400, 404),
)
overview = operation(
    "Get all your agents at a glance: value, profit and today's change, live and simulated apart",
    wire_overview.OverviewOnRest,
    refuses=INPUT,
)
prices = operation("Get current prices", wire.PricesOnRest, parameters=(TOKENS,), refuses=(400,))
socket_ticket = operation(
    "Get a ticket: it opens one socket, in place of the token, which then is in no address",
    schema.SocketTicket,
    tag="token",
)
