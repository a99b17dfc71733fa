"""An outside issuer of tokens on loopback: its keys, and an HTTP server for its JWKS that can fail in every way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

NAME = "https://login.example.org/realms/traders"
AUDIENCE = "nexgent"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Return the same each time: it takes a tenth of a second, which no process spends that only collects the tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class SigningKey:
    def __init__(self, kid: str, algorithm: str = "ES256", private: Any = None) -> None:
        self.kid, self.algorithm = kid, algorithm
        self.private = private or ec.generate_private_key(ec.SECP256R1())
        self.names = {"kid": kid} if kid else {}
        kind: Any = RSAAlgorithm if algorithm.startswith("RS") else ECAlgorithm
        self.jwk = {**kind.to_jwk(self.private.public_key(), as_dict=True), **self.names, "use": "sig"}

    def sign(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token for alice; a claim of None is left out."""
        now = int(time.time())
        claims = {"iss": NAME, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300} | claims
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(said, self.private, self.algorithm, headers={**self.names, **(headers or {})})


class Issuer:
    """`answer` writes to the handler what is not the JWKS."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.requests = 0
        self.answer: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.released = threading.Event()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                if issuer.answer is not None:
                    issuer.answer(self)
                    return
                issuer.send(self, json.dumps({"keys": [key.jwk for key in issuer.keys]}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def hang(self, _: BaseHTTPRequestHandler) -> None:
        """Answer nothing until the test ends."""
        self.released.wait()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
