"""Tokens that were verified before are valid exactly as long as others are."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from positions.accounts import verified


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "_known", {})


def token_of(kind: type[Token] = AccessToken, **lifetime: int) -> str:
    token = kind()
    token["user_id"] = "7"
    token.set_exp(lifetime=timedelta(**lifetime or {"minutes": 5}))
    return str(token)


def test_claims_are_those_of_the_token_also_the_second_time():
    token = token_of()
    expected = AccessToken(token).payload  # type: ignore[arg-type]
    assert verified.claims_of(token) == verified.claims_of(token) == expected
    assert len(verified._known) == 1


@pytest.mark.parametrize("token", [token_of(RefreshToken), token_of(minutes=-1), "nonsense", ""])
def test_token_that_is_not_valid_is_refused_each_time_and_not_kept(token: str):
    for _ in range(2):
        with pytest.raises(TokenError):
            verified.claims_of(token)
    assert verified._known == {}


def test_known_token_expires_when_others_do(monkeypatch, settings):
    settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, "LEEWAY": 10}
    token = token_of(seconds=30)
    claims = verified.claims_of(token)
    later = SimpleNamespace(time=lambda: claims["exp"] + 9)
    monkeypatch.setattr(verified, "time", later)
    assert verified.claims_of(token) is claims
    later.time = lambda: claims["exp"] + 11
    assert verified.claims_of(token) is not claims  # looked at anew, by a clock that this test does not move


def test_known_token_is_invalid_once_its_key_is_gone(settings):
    token, key = token_of(), settings.SECRET_KEY
    verified.claims_of(token)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = 50 * "n", [key]
    verified.claims_of(token)
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(TokenError):
        verified.claims_of(token)


def test_the_oldest_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(verified, "MOST", 3)
    tokens = [token_of(minutes=number) for number in range(1, 6)]
    first = [verified.claims_of(token) for token in tokens]
    assert len(verified._known) == 3
    for token, known in zip(tokens[2:], first[2:], strict=True):
        assert verified.claims_of(token) is known
    assert verified.claims_of(tokens[0]) is not first[0]
