"""JSON in and out of the REST API, numbers digit for digit. The settings name its two classes.

In: a number with a point or an exponent becomes a Decimal of exactly its digits, any other an int. A body that is not
JSON (NaN and Infinity are not), not an object, or over MAX_BODY_BYTES is refused.

Out: msgspec, as on the socket. It would write a Decimal as a string, or with an exponent: every Decimal is written
here, in plain digits. (The Structs of the wire have digits already.)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import IO, Any

import msgspec
from django.utils.functional import Promise
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from positions.books.snapshots import number, timestamp

MAX_BODY_BYTES = 65_536


class BodyTooLarge(APIException):
    """A body over MAX_BODY_BYTES."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body must have at most {MAX_BODY_BYTES} bytes."
    default_code = "body_too_large"


class ExactJSONParser(BaseParser):
    """Read a JSON object. Raises ParseError, which says at which byte; BodyTooLarge."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        try:
            data = _decode(body)
        except msgspec.DecodeError as error:
            where = "" if "(byte" in str(error) else f" (byte {len(body)})"
            raise ParseError(f"The body is not JSON: {error}{where}.") from error
        except UnicodeDecodeError as error:
            raise ParseError(f"The body is not UTF-8: {error.reason} (byte {error.start}).") from error
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        if not isinstance(data, dict):
            raise ParseError("The body must be a JSON object.")
        return data


class ExactJSONRenderer(BaseRenderer):
    """Write a view's data: dicts, lists, Structs of the wire, and the scalars of both."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8, and the media type has no such parameter (RFC 8259, section 11)

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        body = b"" if data is None else _encode(_plain(data))
        # What the request has cost is known now (positions.accounts.request_rates).
        settle = getattr((renderer_context or {}).get("request"), "settle", None)
        if settle is not None:
            settle()
        return body


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ParseError(f"The body has a number that is out of range: {text[:40]}.") from error


def _plain(data: Any) -> Any:
    """Return `data` as types that msgspec encodes in the wire's format. Structs are that already."""
    match data:
        case Decimal():
            return number(data)
        case datetime():
            return timestamp(data)
        case str() | Promise():
            return str(data)  # the error messages of REST framework are a subclass, those of Django are lazy
        case Mapping():
            return {str(key): _plain(value) for key, value in data.items()}
        case list() | tuple() | set():
            return [_plain(value) for value in data]
    return data


_decode = msgspec.json.Decoder(float_hook=_decimal).decode
_encode = msgspec.json.Encoder().encode
