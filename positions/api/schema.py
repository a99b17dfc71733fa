"""The REST API's description: OpenAPI 3.1, at /api/schema/. Nothing here changes what it does.

Requests are described from the bodies in `serializers`, answers from the Structs in `wire` and below, refusals from
the two shapes of `errors`; `operations` puts them together. `description` names `add_components`.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import patched_settings
from msgspec import Struct
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from positions.api import wire, wire_history, wire_overview, wire_tokens, wire_trades
from positions.api.description import SPECTACULAR
from positions.api.errors import camel
from positions.api.rules import Rules
from positions.books import numbers
from positions.books.symbols import LONGEST
from positions.models import LONGEST_ADDRESS
from positions.models.tokens import LONGEST_NAME

REF = "#/components/schemas/{name}"
BASE58 = "^[1-9A-HJ-NP-Za-km-z]+$"
ADDRESS = {"type": "string", "pattern": BASE58, "maxLength": LONGEST_ADDRESS}
DIGITS = {"type": "string", "pattern": f"^{numbers.PATTERN}$", "maxLength": numbers.LONGEST}


class Detail(Struct):
    """What is wrong, in a sentence."""

    detail: str


class Errors(Struct):
    """What is wrong with the input: sentences, by field or parameter."""

    errors: dict[str, list[str]]


class EventPage(Struct, rename="camel"):
    """Events, oldest first; `lastSeq` is the next call's `after`."""

    events: list[wire.EventOnRest]
    last_seq: int
    more: bool


class Login(serializers.Serializer[Any]):
    """A user's credentials, and a name by which to tell this login from the user's others."""

    username = serializers.CharField()
    password = serializers.CharField()
    name = serializers.CharField(required=False, max_length=LONGEST_NAME)


class RefreshToken(serializers.Serializer[Any]):
    """A refresh token."""

    refresh = serializers.CharField()


class Tokens(Struct):
    """An access token for `Authorization: Bearer` and the socket, and a refresh token, valid once."""

    access: str
    refresh: str


class SocketTicket(Struct, rename="camel"):
    """A ticket for one socket: `/ws?ticket=…`, once, within `expiresIn` seconds."""

    ticket: str
    expires_in: float


STRUCTS = (
    Detail,
    Errors,
    wire.AgentOnRest,
    wire.WalletOnRest,
    wire.PositionOnRest,
    wire_trades.TradeOnRest,
    EventPage,
    Tokens,
    wire_tokens.TokenOnRest,
    SocketTicket,
    wire.PricesOnRest,
    wire_history.CandlesOnRest,
    wire_history.ResultsOnRest,
    wire_history.ValueHistoryOnRest,
    wire_overview.OverviewOnRest,
)


def add_components(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add the schemas of the Structs to those of the bodies (a hook of drf-spectacular)."""
    _, ours = msgspec.json.schema_components(STRUCTS, ref_template=REF)
    schemas = result["components"].setdefault("schemas", {})
    schemas.update(ours)
    result["components"]["schemas"] = dict(sorted(schemas.items()))
    return result


class BodySchema(OpenApiSerializerExtension):
    """A body's names are camelCase, and there are no others."""

    target_class = "positions.api.serializers.Body"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        schema["properties"] = {
            camel(name): {key: value for key, value in each.items() if key != "x-spec-enum-id"}
            for name, each in schema["properties"].items()
        }
        if "required" in schema:
            schema["required"] = [camel(name) for name in schema["required"]]
        return {**schema, "additionalProperties": False}


class NumberSchema(OpenApiSerializerFieldExtension):
    target_class = "positions.api.fields.Number"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "number"}, DIGITS]}


class WholeSchema(OpenApiSerializerFieldExtension):
    target_class = "positions.api.fields.Whole"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "integer"}


class SymbolSchema(OpenApiSerializerFieldExtension):
    target_class = "positions.api.fields.Symbol"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {
            "type": "string",
            "description": f"Control, format and other invisible characters are removed; the rest has at most"
            f" {LONGEST} characters. Without a symbol, the shortened address is used.",
        }


class AddressSchema(OpenApiSerializerFieldExtension):
    target_class = "positions.api.fields.Address"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return dict(ADDRESS)


class SchemaView(Rules):
    """The document. Public: it has no user's data."""

    schema = None
    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        return Response(openapi())


@functools.cache
def openapi() -> dict[str, Any]:
    """Return the OpenAPI document; made once a process, which takes a tenth of a second."""
    with patched_settings(SPECTACULAR):  # a project's own are of its own API
        document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document
