"""The OpenAPI description of each operation, as decorators of the views. Changes nothing about what they do.

What operations take besides a body is in parameters.py, what they answer in schema.py and the modules `wire`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from msgspec import Struct
from rest_framework.serializers import BaseSerializer

from positions.api import schema, serializers, wire, wire_history, wire_overview, wire_trades
from positions.api.parameters import (
    AFTER,
    AGENT,
    BEFORE,
    BY_UUID,
    FILTERS,
    LIMIT,
    MODE,
    OF_TRADES,
    ONCE,
    PAGE,
    POSITION,
    SPAN,
    TOKEN_IN_PATH,
    TOKENS,
)
from positions.api.serializers import Body


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
trades = extend_schema_view(
    list=operation("List your trades", wire_trades.TradeOnRest, parameters=OF_TRADES, refuses=INPUT)
)
trades_of_position = extend_schema_view(
    list=operation(
        "List the trades of a position",
        wire_trades.TradeOnRest,
        parameters=(*BY_UUID, *OF_TRADES),
        refuses=(400, 404),
    )
)
candles = operation(
    "Get the candles of a token that one of your agents holds or held, or of wrapped SOL",
    wire_history.CandlesOnRest,
    parameters=(TOKEN_IN_PATH, *SPAN),
    refuses=(400, 404),
)
overview = operation(
    "Get all your agents at a glance: value, profit and today's change, live and simulated apart",
    wire_overview.OverviewOnRest,
    refuses=INPUT,
)
prices = operation("Get current prices", wire.PricesOnRest, parameters=(TOKENS,), refuses=(400,))
socket_ticket = operation(
    "Get a ticket, which opens one socket: it stands in the URL instead of the token",
    schema.SocketTicket,
    tag="token",
)
