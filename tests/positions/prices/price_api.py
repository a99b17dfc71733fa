"""A price API on loopback: real sockets, scripted answers in the real formats of DexScreener and Jupiter."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from positions.prices.quotes import WRAPPED_SOL

USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
HANG_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    body: Any = b""
    """Bytes as they are, anything else as JSON."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    """Say nothing until the test is over."""
    missing_bytes: int = 0
    """How many bytes of the body are promised and never sent."""

    @property
    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]

    @property
    def addresses(self) -> list[str]:
        parts = urlsplit(self.path)
        asked = parse_qs(parts.query)["ids"][0] if parts.query else parts.path.rsplit("/", 1)[1]
        return unquote(asked).split(",")


class PriceApi:
    """Answers with `script`, one after the other, then with what `respond` returns."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.respond: Callable[[Request], Answer] = lambda _: Answer(status=404)
        self.requests: list[Request] = []
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.url = ""

    def next(self, request: Request) -> Answer:
        with self.lock:
            self.requests.append(request)
            if self.script:
                return self.script.pop(0)
        return self.respond(request)


@contextmanager
def serving() -> Iterator[PriceApi]:
    api = PriceApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = api.next(Request(self.path, {k.lower(): v for k, v in self.headers.items()}))
            if answer.hang:
                api.over.wait(HANG_SECONDS)
            try:
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.payload) + answer.missing_bytes))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.payload)
            except OSError:
                pass  # the client has given up
            if answer.missing_bytes or answer.hang:
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        api.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def pair(
    base: str,
    price_native: object,
    price_usd: object = None,
    *,
    quote: str = WRAPPED_SOL,
    liquidity_usd: object = 1000,
) -> dict[str, Any]:
    """Return one entry of DexScreener's answer, as a real one looks."""
    return {
        "chainId": "solana",
        "dexId": "raydium",
        "url": "https://dexscreener.com/solana/3legaqekuktwbjtxhrg1l1spg7zzbsohvmctmbhffqtq",
        "pairAddress": sha256(repr((base, quote, price_native, liquidity_usd)).encode()).hexdigest()[:44],
        "baseToken": {"address": base, "name": "Hiero Terminal", "symbol": "HTERM"},
        "quoteToken": {"address": quote, "name": "Wrapped SOL", "symbol": "SOL"},
        "priceNative": price_native,
        "priceUsd": price_usd,
        "txns": {"m5": {"buys": 28, "sells": 15}},
        "volume": {"h24": 24489817.82},
        "priceChange": {"m5": 1.37},
        "liquidity": {"usd": liquidity_usd, "base": 15688012, "quote": 2048.6806},
        "fdv": 22916799,
        "pairCreatedAt": 1736100688000,
    }


SOL_PAIR = pair(WRAPPED_SOL, "120.7831", "120.78", quote=USDC, liquidity_usd=30663136.63)


def dexscreener(*pairs: dict[str, Any]) -> Callable[[Request], Answer]:
    """Answer each request with those of these pairs, and of SOL's own, with a token that it asks for on either side."""

    def respond(request: Request) -> Answer:
        return Answer(
            [
                entry
                for entry in (SOL_PAIR, *pairs)
                if entry["baseToken"]["address"] in request.addresses
                or entry["quoteToken"]["address"]
                in {*request.addresses} - {WRAPPED_SOL}  # nearly all pools' quote
            ]
        )

    return respond


def jupiter(prices_usd: Mapping[str, object]) -> Callable[[Request], Answer]:
    """Answer each request with those of these prices that it asks for."""

    def respond(request: Request) -> Answer:
        return Answer(
            {
                address: {"usdPrice": price, "blockId": 348004023, "decimals": 9, "priceChange24h": 1.29}
                for address, price in prices_usd.items()
                if address in request.addresses
            }
        )

    return respond
