"""No credential comes out of a log, however it is spelled and wherever in a record it is."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import re
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from daphne.access import AccessLogGenerator
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.logging import AccessFormatter

from realtime.monitoring.library_logs import RedactTokens
from realtime.monitoring.log_lines import JsonFormatter, TextFormatter
from realtime.monitoring.redaction import redact
from realtime.servers import daphne

NAMES = [
    *("token", "ticket", "access", "refresh", "access_token", "refreshToken", "nexgent_session", "sessionid"),
    *("csrftoken", "csrfmiddlewaretoken", "password", "NEXGENT_SECRET_KEY", "X-Api-Key"),
    *("password1", "new_password2", "passphrase", "token10"),
]
READABLE = 8
"""How many characters of a secret in a row give it away."""


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(seed: int, header: str) -> str:
    digest = hashlib.sha256(b"%d" % seed).digest()
    return ".".join(map(base64url, [header.encode(), b'{"user_id":"1","exp":%d}' % seed, digest]))


secrets = st.integers(0, 2**32).map(lambda seed: base64url(hashlib.sha256(b"%d" % seed).digest()))
jwts = st.builds(
    jwt, st.integers(0, 2**32), st.sampled_from(['{"alg":"HS256"}', '{ "alg": "RS256" }', '{\n"alg":""}'])
)
tickets = secrets.map(lambda secret: f"ticket_{secret}")
tokens = secrets | jwts | tickets


@st.composite
def spelled(draw: Callable[[Any], Any], text: str, *, cases: bool = False) -> str:
    """Return the text with some characters escaped, once or several times; in any case, if that is the same name."""
    ways: list[Callable[[str], str]] = [
        *[lambda c: c] * 6,
        lambda c: f"%{ord(c):02x}",
        lambda c: f"%{ord(c):02X}",
        lambda c: f"%25{ord(c):02x}",
        lambda c: f"%252525{ord(c):02x}",
        lambda c: f"\\x{ord(c):02x}",
        lambda c: f"\\u{ord(c):04x}",
        lambda c: f"\\\\u{ord(c):04x}",
    ]
    if draw(st.booleans()):
        ways = ways[:1]  # as most are
    change = st.sampled_from([str, str.upper, str.lower, str.title]) if cases else st.just(str)
    return "".join(draw(st.sampled_from(ways))(character) for character in draw(change)(text))


@st.composite
def named(draw: Callable[[Any], Any], secret: str) -> str:
    """Return the secret with a name: in a query, a form, a cookie, JSON, a repr, a header, a URL."""
    name = draw(spelled(draw(st.sampled_from(NAMES)), cases=True))
    value = draw(spelled(secret))
    bearer = draw(spelled("Bearer", cases=True))
    before = draw(st.sampled_from(["/ws?", "?a=1&", "?a=1;", "", "x "]))
    after = draw(st.sampled_from(["", "&agentId=1", ";x=1", " HTTP/1.1", '" 200']))
    forms = [
        f"{before}{name}={value}{after}",
        f"next=%2Fws%3F{name}%3D{value}%26agentId%3D1",
        f"%7B%22{name}%22%3A%22{value}%22%7D",
        json.dumps({"type": "refresh", "data": {name: value}}),
        json.dumps(json.dumps({name: value}, separators=(",", ":"))),
        json.dumps({name: f'a"b {value}'}),
        f'{{"{name}"\n:\n\t"{value}"}}',
        repr(f'{{"{name}"\n:\r\n\t"{value}"}}'.encode()),
        repr({"query_string": f"{name}={value}&x=1".encode(), "type": "websocket"}),
        repr({name: ["one", value]}),
        repr([(name.lower().encode(), value.encode())]),
        f"Form({name}={value!r}, x=1)",
        f"{name}: {value}\r\nHost: x",
        repr([(b"authorization", f"{bearer} {value}".encode())]),
        repr({"HTTP_COOKIE": f"a=b; x={value}", "REMOTE_ADDR": "::1"}),
        f"{bearer} {value}",
        f"{bearer}%20{value}, and more",
        f"Authorization: Token {value}\r\nHost: x",
        f"Set-Cookie: x={value}; Path=/",
        f"redis://:{value}@localhost:6379/0",
        f"postgresql://user:{value}%2F%40@localhost/name",
        f"postgresql://user:a/b{value}@localhost/name",
    ]
    return str(draw(st.sampled_from(forms)))


bare = (
    st.one_of(jwts, tickets)
    .flatmap(
        lambda secret: st.tuples(
            st.just(secret), spelled(secret), st.sampled_from(["{}", "({})", "x {}, y", "'{}'", "{}\n"])
        )
    )
    .map(lambda found: (found[0], found[2].format(found[1])))
)
fragments = tokens.flatmap(lambda secret: st.tuples(st.just(secret), named(secret))) | bare


def record(message: object, *args: object, fault: Any = None, **extra: object) -> logging.LogRecord:
    return logging.getLogger("x").makeRecord("x", logging.INFO, "x", 1, message, args, fault, extra=extra)


def raised(text: str) -> Any:
    try:
        try:
            raise KeyError(text)
        except KeyError as error:
            raise ValueError("refused") from error
    except ValueError:
        return sys.exc_info()


PLACES: dict[str, Callable[[str, int], logging.LogRecord]] = {
    "message": lambda text, _: record(text),
    "argument": lambda text, _: record("said %s and %d", text, 1),
    "split": lambda text, at: record("%s%s", text[: at % len(text)], text[at % len(text) :]),
    "dict": lambda text, _: record("%(method)s %(path)s", {"method": "GET", "path": text}),
    "object": lambda text, _: record({"path": text}),
    "too many arguments": lambda text, _: record("said", text),
    "field": lambda text, _: record("x", path=text),
    "exception": lambda text, _: record("failed", fault=raised(text)),
}


def readings(text: str) -> set[str]:
    """Return the text in every way in which somebody may read it."""
    found = {text}
    for _ in range(4):
        found |= {unquote(each) for each in found}
        found |= {
            re.sub(r"\\+(?:x|u00)([0-9a-fA-F]{2})", lambda code: chr(int(code[1], 16)), each)
            for each in found
        }
    return found


def gives_away(text: str, secret: str) -> bool:
    # A JWT's header is in every token, and the ticket's prefix in every ticket.
    private = secret.partition(".")[2] or secret.removeprefix("ticket_")
    parts = {private[at : at + READABLE] for at in range(len(private) - READABLE + 1)}
    return any(part in reading for reading in readings(text) for part in parts)


@settings(max_examples=150, deadline=None, database=None)
@given(fragments, st.sampled_from(sorted(PLACES)), st.integers(0, 1000))
def test_no_credential_comes_out_of_a_record(fragment, place, at):
    secret, text = fragment
    line = PLACES[place](text, at)
    for formatter in (JsonFormatter(), TextFormatter()):
        written = formatter.format(line)
        assert not gives_away(written, secret), written
    json.loads(JsonFormatter().format(line))  # nothing that JSON needs was taken away
    if place not in {"field", "exception"}:  # these are for a formatter
        RedactTokens().filter(line)
        assert not gives_away(logging.Formatter().format(line), secret)


@settings(max_examples=150, deadline=None, database=None)
@given(
    st.text(),
    st.lists(st.sampled_from([*NAMES, "=", ":", '"', "'", "\\", "%", "[", "@", "://", "eyJ", "\n", " "])),
)
def test_any_text_can_be_redacted_again_and_nothing_more_is_hidden(text, pieces):
    once = redact(text + "".join(pieces) + text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "line",
    [
        '{"message": "socket closed", "code": 1000, "reason": "Closed by the client", "seconds": 61.2}',
        "GET '/api/positions/0d8c9d1e-3c52-4c57-9f3a-5f7b6f1f2a33/' failed.",
        "2 tokens have no price: DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263",
        "a login from 127.0.0.1 is locked for 900 s",
        "The access token was refused, see positions.accounts.tokens; 100% of the keys; mail@example.org",
        "connection to redis://localhost:6379/0 refused",
    ],
)
def test_what_has_no_credential_stays_as_it_is(line):
    assert redact(line) is line or redact(line) == line


def test_every_library_writes_with_our_formatters():
    found = {
        name or "root": handler
        for name in ("", *logging.root.manager.loggerDict)
        for handler in logging.getLogger(name).handlers
        if not isinstance(handler, logging.NullHandler) and not type(handler).__module__.startswith("_pytest")
    }
    assert [
        name for name, each in found.items() if isinstance(each.formatter, JsonFormatter | TextFormatter)
    ] == ["root"]
    assert list(found) == ["root"]


def test_a_field_is_hidden_by_its_name():
    line = json.loads(JsonFormatter().format(record("x", refreshToken="abc", agent_id="abc")))
    assert (line["refreshToken"], line["agent_id"]) == ("…", "abc")


def test_uvicorns_own_formatter_still_finds_its_arguments():
    line = record(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", "/ws?%74oken=abcdefgh&agentId=1", "1.1", 200
    )
    RedactTokens().filter(line)
    written = AccessFormatter("%(client_addr)s %(request_line)s", use_colors=False).format(line)
    assert written == "127.0.0.1:1 GET /ws?%74oken=…&agentId=1 HTTP/1.1"


def test_daphnes_access_log_has_no_token():
    """It is no `logging`; the query of a request over HTTP is in it, one for /ws without an upgrade, say."""
    daphne.install()  # as in a process that daphne serves
    stream = io.StringIO()
    details = {
        "client": "127.0.0.1:1",
        "method": "GET",
        "path": "/ws?token=abc.def&x=1",
        "status": 404,
        "size": 9,
    }
    AccessLogGenerator(stream)("http", "complete", details)
    AccessLogGenerator(stream)("websocket", "connecting", {"client": "::1", "path": "/ws?ticket=abc.def"})
    assert "abc" not in stream.getvalue()
    assert '"GET /ws?token=…&x=1" 404 9' in stream.getvalue()
    assert '"WSCONNECTING /ws?ticket=…"' in stream.getvalue()


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_arguments_that_do_not_fit_their_message_are_not_printed_as_they_are(capsys, formatter):
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatter)
    handler.handle(record("%d", "token=abcdefgh"))
    assert "%d ('token=…',)" in handler.stream.getvalue()
    assert capsys.readouterr().err == ""
