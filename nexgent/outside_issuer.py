"""The settings of an outside issuer of tokens: all of them, or none."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from nexgent.environment import Environment

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Asymmetric ones only: with HS256 whoever has the public key could sign."""


def outside_issuer(env: Environment) -> dict[str, Any] | None:
    """Return what tokens of which issuer are accepted; None where there is none."""
    before = set(env.names)
    options = {
        "ISSUER": env.text("NEXGENT_JWT_ISSUER"),
        "AUDIENCE": env.items("NEXGENT_JWT_AUDIENCE", [], str),
        "ALGORITHMS": env.items(
            "NEXGENT_JWT_ALGORITHMS", ["RS256"], _algorithm, f"of {', '.join(ALGORITHMS)}, one or several"
        ),
        "USER_CLAIM": env.text("NEXGENT_JWT_USER_CLAIM", "sub"),
        "USER_FIELD": env.text("NEXGENT_JWT_USER_FIELD", "username"),
        "SCOPE_CLAIM": env.text("NEXGENT_JWT_SCOPE_CLAIM", "scope"),
        "WRITE_SCOPE": env.text("NEXGENT_JWT_WRITE_SCOPE"),
        "RETRY_SECONDS": env.duration("NEXGENT_JWKS_RETRY_SECONDS", 10.0),
        "MAX_AGE_SECONDS": env.duration("NEXGENT_JWKS_MAX_AGE_SECONDS", 300.0),
    }
    names = sorted(env.names - before)
    url = env.text("NEXGENT_JWKS_URL")
    if not url:
        wrong = {error.split(maxsplit=1)[0] for error in env.errors}
        env.errors += [
            f"{name} has no effect without NEXGENT_JWKS_URL."
            for name in names
            if env.text(name) and name not in wrong
        ]
        return None
    if not _is_url(url):
        env.errors.append("NEXGENT_JWKS_URL must be https://…, http://… or file:///path.")
    for name in ("ISSUER", "AUDIENCE"):
        if not options[name]:
            env.errors.append(
                f"NEXGENT_JWKS_URL needs NEXGENT_JWT_{name}: tokens of others would be accepted."
            )
    for name in ("ALGORITHMS", "USER_CLAIM", "USER_FIELD", "SCOPE_CLAIM"):
        if not options[name]:
            env.errors.append(f"NEXGENT_JWT_{name} must not be empty.")
    if not options["WRITE_SCOPE"] and env.text("NEXGENT_JWT_SCOPE_CLAIM"):
        env.errors.append("NEXGENT_JWT_SCOPE_CLAIM has no effect without NEXGENT_JWT_WRITE_SCOPE.")
    return {"JWKS_URL": url, **options}


def _algorithm(name: str) -> str:
    return ALGORITHMS[ALGORITHMS.index(name)]


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(
            parts.path if parts.scheme == "file" else parts.scheme in {"http", "https"} and parts.hostname
        )
    except ValueError:
        return False
