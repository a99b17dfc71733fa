"""Tokens of an outside issuer beside our own, over REST and sockets; its keys over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jwt
import pytest
from asgiref.sync import sync_to_async
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings as current
from django.core.management import call_command
from django.test import Client
from jwt.algorithms import HMACAlgorithm
from jwt.utils import base64url_encode

from nexgent.environment import Environment
from nexgent.outside_issuer import outside_issuer
from positions.accounts import key_set
from positions.accounts.key_set import parse
from positions.checks import outside_issuer as check
from positions.models import TokenFamily
from tests.live import PATIENCE_SECONDS, access_token
from tests.realtime.issuer import NAME, Issuer, SigningKey, rsa_key
from tests.realtime.test_keys import allow  # noqa: F401  a fixture
from tests.realtime.test_tickets import Socket, buy  # noqa: F401  a fixture
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("hub")
Configure = Callable[..., None]


@pytest.fixture
def key() -> SigningKey:
    return SigningKey("one")


@pytest.fixture
def issuer(key: SigningKey) -> Iterator[Issuer]:
    issuer = Issuer(key)
    yield issuer
    issuer.close()


@pytest.fixture
def configure(issuer: Issuer, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Set the issuer's settings as the environment would. Its answers may take their time on a slow machine."""
    monkeypatch.setattr(key_set, "FETCH_SECONDS", PATIENCE_SECONDS)

    def configure(**variables: str) -> None:
        env = Environment(
            {
                "NEXGENT_JWKS_URL": issuer.url,
                "NEXGENT_JWT_ISSUER": NAME,
                "NEXGENT_JWT_AUDIENCE": "another, nexgent",
                "NEXGENT_JWT_ALGORITHMS": "ES256,RS256",
                **{f"NEXGENT_{name}": value for name, value in variables.items()},
            }
        )
        settings.NEXGENT = {**settings.NEXGENT, "OUTSIDE_ISSUER": outside_issuer(env)}
        env.check()

    configure()
    return configure


async def ask(token: str, method: str = "GET", body: dict[str, Any] | None = None) -> int:
    client = Client(headers={"Authorization": f"Bearer {token}"})
    answer = await sync_to_async(client.generic)(
        method, "/api/agents/", json.dumps(body or {}), content_type="application/json"
    )
    return int(answer.status_code)


async def outcome(token: str, agent: Any) -> str:
    """Return what becomes of a token: "in", "refused" or "later", over REST and sockets alike."""
    status = await ask(token)
    first = await Socket(f"agentId={agent.pk}", authorization=f"Bearer {token}").begin()
    both = {(200, "conn"): "in", (401, "1008"): "refused", (503, "1013"): "later"}
    assert (status, first[:4]) in both, (status, first)
    return both[status, first[:4]]


async def test_tokens_of_both_are_accepted_side_by_side(alice, agent, position, key, issuer, configure):
    with_rsa = SigningKey("two", "RS256", rsa_key())
    issuer.keys.append(with_rsa)
    tokens = [
        access_token(alice),
        key.sign(),
        with_rsa.sign(),
        key.sign(aud=["nexgent", "x"], scope="openid"),
    ]
    assert [await outcome(token, agent) for token in tokens] == ["in"] * 4
    assert [await ask(token, "POST", {"name": f"made {n}"}) for n, token in enumerate(tokens)] == [201] * 4
    assert issuer.requests == 1


async def test_token_buys_a_ticket_and_prolongs_the_socket(alice, agent, position, key, configure, buy):  # noqa: F811
    socket = Socket(f"ticket={await buy(key.sign())}&agentId={agent.pk}")
    await socket.connect(PATIENCE_SECONDS)
    assert [(await socket.receive())["type"] for _ in range(2)] == ["connected", "initial_data"]
    for token, answer in (
        (key.sign(), "refreshed"),
        (access_token(alice), "refreshed"),
        (key.sign(sub="bob"), "error"),
    ):
        await socket.send_to(json.dumps({"type": "refresh", "token": token}))
        assert (await socket.receive())["type"] == answer
    await socket.disconnect(timeout=PATIENCE_SECONDS)


def forge(how: str, key: SigningKey) -> str:
    now = int(time.time())
    claims = {"iss": NAME, "aud": "nexgent", "sub": "alice", "exp": now + 300}
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    match how:
        case "unsigned":
            return jwt.encode(claims, "", "none", headers={"kid": "one"})
        case "public key as secret":
            return with_hmac(claims, public)
        case "public jwk as secret":
            return with_hmac(claims, json.dumps(key.jwk).encode())
        case "our secret":
            return with_hmac({**claims, "token_type": "access", "jti": "1"}, current.SECRET_KEY.encode())
        case "another's key":
            return SigningKey("one").sign()
        case "made-up key":
            return SigningKey("made-up").sign()
        case "key id of a number":
            return with_header(key.sign(), alg="ES256", kid=1)
        case "other algorithm":
            return with_header(key.sign(), alg="RS256", kid="one")
        case "algorithm not allowed":
            return with_header(key.sign(), alg="ES384", kid="one")
        case "changed":
            return key.sign()[:-6] + "AAAAAA"
        case "half":
            return key.sign().rpartition(".")[0]
    name, _, value = how.partition("=")
    times = {"past": now - 60, "future": now + 60}
    return key.sign(None, **{name: times[value] if value in times else json.loads(value)})


def with_hmac(claims: dict[str, Any], secret: bytes) -> str:
    """Sign as nobody should: PyJWT itself takes no public key as a secret."""
    parts = ({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims)
    signed = b".".join(base64url_encode(json.dumps(part).encode()) for part in parts)
    mark = HMACAlgorithm(HMACAlgorithm.SHA256).sign(signed, secret)
    return (signed + b"." + base64url_encode(mark)).decode()


def with_header(token: str, **header: Any) -> str:
    return base64url_encode(json.dumps(header).encode()).decode() + "." + token.partition(".")[2]


FORGED = (
    *(
        "unsigned",
        "public key as secret",
        "public jwk as secret",
        "our secret",
        "another's key",
        "made-up key",
    ),
    *("changed", "half", "key id of a number", "other algorithm", "algorithm not allowed"),
    *(
        "iss=null",
        'iss="https://evil.example"',
        "aud=null",
        'aud="other"',
        "exp=null",
        "exp=4611686018427387904",
        'exp="soon"',
        "exp=past",
    ),
    *(
        "nbf=future",
        "iat=future",
        "sub=null",
        'sub=""',
        "sub=true",
        'sub=["alice"]',
        'sub="nobody"',
        'sub="\\u0000"',
    ),
)


async def test_tokens_that_are_not_quite_right_are_refused(alice, agent, position, key, configure):
    assert await outcome(key.sign(), agent) == "in"
    assert {how: await outcome(forge(how, key), agent) for how in FORGED} == dict.fromkeys(FORGED, "refused")


async def test_token_of_an_inactive_user_is_refused_and_of_another_one_finds_no_agent(
    alice, bob, agent, key, configure
):
    assert (await Socket(f"token={key.sign(sub='bob')}&agentId={agent.pk}").begin()).startswith(
        "1008 Agent not found"
    )
    alice.is_active = False
    await alice.asave()
    assert await outcome(key.sign(), agent) == "refused"


async def test_new_password_here_ends_no_outside_token_and_a_deactivation_closes_its_socket(
    alice, agent, position, key, configure
):
    token = key.sign()
    alice.set_password("another-password")
    await alice.asave()
    await sync_to_async(call_command)("tokens", "alice", "--revoke-all", stderr=io.StringIO())
    assert await outcome(token, agent) == "in"
    assert not await TokenFamily.objects.aexists()
    socket = Socket(f"token={token}&agentId={agent.pk}")
    await socket.connect(PATIENCE_SECONDS)
    while (await socket.receive())["type"] != "initial_data":
        pass
    alice.is_active = False
    await alice.asave()
    while (message := await socket.receive())["type"] != "closing":
        pass
    assert message["data"]["reason"] == "Access revoked"
    await socket.disconnect(timeout=PATIENCE_SECONDS)


async def test_leeway_counts_for_the_issuers_clock_too(alice, agent, position, key, configure, allow):  # noqa: F811
    allow(120)
    now = int(time.time())
    assert await outcome(key.sign(exp=now - 60, nbf=now + 60, iat=now + 60), agent) == "in"


async def test_user_is_found_by_the_claim_and_field_of_the_settings(
    alice, bob, agent, position, key, configure
):
    configure(JWT_USER_CLAIM="email", JWT_USER_FIELD="email")
    alice.email = "alice@example.org"
    await alice.asave()
    claims = {"sub": "4711", "email": "alice@example.org"}
    assert await outcome(key.sign(**claims, email_verified=True), agent) == "in"
    assert await outcome(key.sign(**claims), agent) == "refused"  # anybody may enter anybody's address
    bob.email = alice.email
    await bob.asave()
    assert await outcome(key.sign(**claims, email_verified=True), agent) == "refused"  # whose is it?
    configure(JWT_USER_CLAIM="uid", JWT_USER_FIELD="id")
    assert await outcome(key.sign(uid=alice.pk), agent) == "in"
    assert await outcome(key.sign(uid="no number"), agent) == "refused"


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"scope": "openid positions:write"}, 201),
        ({"scope": ["positions:write"]}, 201),
        ({"scope": "openid"}, 403),
        ({"scope": "positions:write-not"}, 403),
        ({"scope": 5}, 403),
        ({}, 403),
    ],
)
async def test_scope_of_the_settings_lets_a_token_write(alice, agent, key, configure, claims, status):
    configure(JWT_WRITE_SCOPE="positions:write")
    assert await ask(key.sign(**claims), "POST", {"name": "beta"}) == status
    assert await ask(key.sign(**claims)) == 200


# The issuer's keys


async def test_keys_that_the_issuer_replaces_are_learnt_and_forgotten(
    alice, agent, position, key, issuer, configure
):
    configure(JWKS_RETRY_SECONDS="0.001", JWKS_MAX_AGE_SECONDS="0.001")
    assert await outcome(key.sign(), agent) == "in"
    newer = SigningKey("two")
    issuer.keys = [key, newer]
    assert await outcome(newer.sign(), agent) == "in"
    issuer.keys = [newer]
    assert await outcome(key.sign(), agent) == "refused"
    assert await outcome(newer.sign(), agent) == "in"


async def test_withdrawn_key_is_accepted_until_the_keys_are_fetched_again(
    alice, agent, position, key, issuer, configure
):
    socket = Socket(f"token={key.sign()}&agentId={agent.pk}")
    await socket.connect(PATIENCE_SECONDS)
    assert (await socket.receive())["type"] == "connected"
    issuer.keys = [SigningKey("two")]
    assert await ask(key.sign()) == 200
    configure()  # as with its first fetch
    assert await outcome(key.sign(), agent) == "refused"
    while (await socket.receive())["type"] != "initial_data":
        pass
    await socket.send_to(json.dumps({"type": "ping"}))
    while (await socket.receive())["type"] != "pong":
        pass
    await socket.disconnect(timeout=PATIENCE_SECONDS)


async def test_made_up_key_ids_do_not_make_us_ask_the_issuer_again_and_again(
    alice, agent, key, issuer, configure
):
    configure(JWKS_RETRY_SECONDS="600")
    for _ in range(20):
        assert await ask(key.sign(headers={"kid": secrets.token_hex(4)})) == 401
    assert await ask(key.sign()) == 200
    assert issuer.requests == 1


async def test_known_keys_stay_valid_while_the_issuer_is_down(alice, agent, position, key, issuer, configure):
    configure(JWKS_RETRY_SECONDS="0.001", JWKS_MAX_AGE_SECONDS="0.001")
    assert await outcome(key.sign(), agent) == "in"
    issuer.answer = lambda handler: issuer.send(handler, b"{}", 503)
    assert await outcome(key.sign(), agent) == "in"
    newer = SigningKey("two")
    assert await outcome(newer.sign(), agent) == "later"
    issuer.answer, issuer.keys = None, [newer]
    assert await outcome(newer.sign(), agent) == "in"


async def test_answer_that_has_no_keys_means_later(alice, agent, key, issuer, configure, caplog):
    for body in (
        b"<html>",
        b"[]",
        b'{"keys": []}',
        b'{"keys": {"a": 1}}',
        b'{"keys": [null, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "n": 5, "e": "AQAB"}, {"kty": "EC"}]}',
        b'{"keys": [' + b" " * 1_000_000 + b"]}",
    ):
        configure()  # knows no keys
        issuer.answer = partial(issuer.send, body=body)
        assert await outcome(key.sign(), agent) == "later"
        assert "the issuer's keys could not be fetched" in caplog.text
        caplog.clear()


def test_keys_that_are_not_for_our_signatures_are_left_out(key):
    breakable = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    small = SigningKey("small", "RS256", breakable)
    jwks = [
        key.jwk,
        {**key.jwk, "kid": "for encryption", "use": "enc"},
        {**key.jwk, "kid": "for signing", "key_ops": ["sign"]},
        {**key.jwk, "kid": "of no curve", "crv": "P-0"},
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
        {"kty": "new", "kid": "unknown"},
        small.jwk,
        "nonsense",
    ]
    assert list(parse(json.dumps({"keys": jwks}).encode())) == ["one"]


async def test_key_is_used_with_its_own_algorithm_only(alice, agent, position, key, issuer, configure):
    key.jwk["alg"] = "ES384"
    assert await outcome(key.sign(), agent) == "refused"


async def test_issuer_that_hangs_delays_nobody_else(
    alice, bob, agent, position, key, issuer, configure, monkeypatch
):
    # In which somebody else connects on a slow machine, too.
    monkeypatch.setattr(key_set, "FETCH_SECONDS", 6.0)
    issuer.answer = issuer.hang
    waiting = asyncio.ensure_future(Socket(f"token={key.sign()}&agentId={agent.pk}").begin())

    async def has_asked() -> bool:
        return bool(issuer.requests)

    await eventually(has_asked, "the issuer is asked")
    assert await Socket(f"token={access_token(alice)}&agentId={agent.pk}").begin() == "connected"
    assert not waiting.done()
    assert (await waiting).startswith("1013 Try again later: the token cannot be checked")


async def test_keys_may_be_a_file(alice, agent, position, key, issuer, configure, tmp_path):
    path = tmp_path / "keys of the issuer.json"
    path.write_text(json.dumps({"keys": [key.jwk]}))
    configure(JWKS_URL=path.as_uri())
    assert await outcome(key.sign(), agent) == "in"
    assert issuer.requests == 0


async def test_token_that_names_no_key_means_the_only_one(alice, agent, position, issuer, configure):
    configure(JWKS_RETRY_SECONDS="0.001", JWKS_MAX_AGE_SECONDS="0.001")
    nameless = SigningKey("")
    issuer.keys = [nameless]
    assert await outcome(nameless.sign(), agent) == "in"
    issuer.keys.append(SigningKey("two"))
    assert await ask(SigningKey("two").sign()) == 401  # has the keys fetched
    assert await outcome(nameless.sign(), agent) == "refused"


# Settings


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"JWT_ISSUER": NAME}, "NEXGENT_JWT_ISSUER has no effect without NEXGENT_JWKS_URL."),
        (
            {"JWKS_URL": "https://x/"},
            "NEXGENT_JWKS_URL needs NEXGENT_JWT_AUDIENCE: tokens of others would be accepted.",
        ),
        ({"JWKS_URL": "ftp://x/"}, "NEXGENT_JWKS_URL must be https://…, http://… or file:///path."),
        ({"JWKS_URL": "https://x/", "JWT_ALGORITHMS": "HS256"}, "NEXGENT_JWT_ALGORITHMS must be"),
        ({"JWKS_URL": "https://x/", "JWT_ALGORITHMS": "none"}, "NEXGENT_JWT_ALGORITHMS must be"),
        ({"JWKS_URL": "https://x/", "JWT_USER_CLAIM": ""}, "NEXGENT_JWT_USER_CLAIM must not be empty."),
        (
            {"JWKS_URL": "https://x/", "JWT_SCOPE_CLAIM": "scp"},
            "NEXGENT_JWT_SCOPE_CLAIM has no effect without",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_named(variables: dict[str, str], message: str):
    env = Environment({f"NEXGENT_{name}": value for name, value in variables.items()})
    outside_issuer(env)
    assert any(error.startswith(message) for error in env.errors), env.errors


def test_nothing_is_accepted_without_settings():
    env = Environment({})
    assert (outside_issuer(env), env.errors) == (None, [])


async def test_field_that_users_do_not_have_and_keys_without_tls_are_found_by_the_check(configure):
    assert check(None) == []
    configure(JWT_USER_FIELD="nickname", JWKS_URL="http://login.example.org/keys")
    assert [found.id for found in check(None)] == ["positions.E007", "positions.W002"]
