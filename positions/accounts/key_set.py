"""The public keys of an outside issuer, from its JWKS (RFC 7517): fetched in the background, kept while it is down.

Bounded: one request at a time, one in `retry_seconds` at most whatever key ids tokens make up, in time and in size.
(PyJWT's PyJWKClient blocks its caller, asks again for each key id that it does not know, and while the issuer is down
forgets the keys that it knew.)
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import jwt

logger = logging.getLogger(__name__)

FETCH_SECONDS = 2.0
"""How long a fetch may take: less than the handshake of a socket that waits for it."""
MAX_BYTES = 256 * 1024
MAX_KEYS = 100
SHORTEST_RSA_BITS = 2048  # RFC 7518, section 3.3
# Never `oct`: what is published is no secret. Nor what belongs to a private key, which has no place in a JWKS.
MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


class Key(NamedTuple):
    public: Any
    """Of `cryptography`."""
    algorithm: str | None
    """The only one that it may be used with; None if the issuer does not say."""


class KeySet:
    """Safe for threads. None of this waits."""

    def __init__(self, url: str, *, retry_seconds: float, max_age_seconds: float) -> None:
        self._url = url
        self._retry_seconds = retry_seconds
        self._max_age_seconds = max_age_seconds
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetch: Future[None] | None = None
        self._is_failing = False

    @property
    def may_have_more(self) -> bool:
        """Whether the last fetch failed, or lasts, so that a key that is unknown here may exist."""
        return self._is_failing or self._fetch is not None

    def known(self, kid: str | None) -> Key | None:
        """Return a key by its id, or the only one where a token names none."""
        keys = self._keys
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(kid)

    @property
    def is_old(self) -> bool:
        """Whether they are to be fetched again, while the known ones serve."""
        return monotonic() - self._fetched_at > self._max_age_seconds

    @property
    def is_overdue(self) -> bool:
        """Whether nobody has asked for so long that a key may have been withdrawn meanwhile."""
        return monotonic() - self._fetched_at > 2 * self._max_age_seconds

    def refresh(self) -> Future[None] | None:
        """Have the keys fetched, and return when that is done; None if they were a moment ago."""
        with self._lock:
            if self._fetch is not None:
                return self._fetch
            if monotonic() - self._tried_at < self._retry_seconds:
                return None
            self._tried_at = monotonic()
            fetch = self._fetch = Future()
        threading.Thread(target=self._run, args=(fetch,), name="jwks", daemon=True).start()
        return fetch

    def _run(self, fetch: Future[None]) -> None:
        import httpx  # most projects have no outside issuer, and no need of it in a server

        try:
            keys = parse(read(self._url))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            if not self._is_failing:  # once an outage
                known = f"; its {len(self._keys)} known keys stay valid" if self._keys else ""
                logger.warning(
                    "the issuer's keys could not be fetched%s: %s", known, str(error) or type(error).__name__
                )
            self._is_failing = True
        else:
            if self._is_failing:
                logger.info("the issuer's keys were fetched again")
            self._keys, self._fetched_at, self._is_failing = keys, monotonic(), False
        finally:
            with self._lock:
                self._fetch = None
            fetch.set_result(None)


def read(url: str) -> bytes:
    """Return the document. Raises httpx.HTTPError, OSError, and ValueError where it is too long or too slow."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        with Path(unquote(parts.path)).open("rb") as file:
            return _bounded(file.read(MAX_BYTES + 1))
    import httpx

    deadline, body = monotonic() + FETCH_SECONDS, b""
    with httpx.stream("GET", url, timeout=FETCH_SECONDS, headers={"Accept": "application/json"}) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            body = _bounded(body + part)
            if monotonic() > deadline:
                raise ValueError(f"no complete answer within {FETCH_SECONDS:g} s")
    return body


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BYTES:
        raise ValueError(f"a JWKS of more than {MAX_BYTES} bytes")
    return body


def parse(body: bytes) -> dict[str, Key]:
    """Return the keys that can verify signatures, by id. Raises ValueError if there are none."""
    document = json.loads(body)
    listed = document.get("keys") if isinstance(document, dict) else None
    found: dict[str, Key] = {}
    for each in listed[:MAX_KEYS] if isinstance(listed, list) else ():
        key = _key(each) if isinstance(each, dict) else None
        if key is not None:
            found.setdefault(str(each.get("kid", "")), key)
    if not found:
        raise ValueError("a JWKS without a usable key")
    return found


def _key(jwk: Mapping[str, Any]) -> Key | None:
    members = MEMBERS.get(str(jwk.get("kty")))
    if members is None or jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        return None
    try:
        public = jwt.PyJWK({"kty": jwk["kty"], **{name: jwk[name] for name in members}}).key
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):  # of a kind that is not supported
        return None
    if jwk["kty"] == "RSA" and public.key_size < SHORTEST_RSA_BITS:
        logger.warning("a key of the issuer is ignored: RSA with %d bits", public.key_size)
        return None
    return Key(public, jwk.get("alg"))
