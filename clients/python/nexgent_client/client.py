"""A server, with a login: REST requests and streams of agents."""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from nexgent_client.rest import Rest
from nexgent_client.stream import Stream
from nexgent_client.tokens import Credentials, Token


class Nexgent:
    """Use it as an async context manager.

    url: of the server, with the path below which Nexgent is, if any: "https://desk.example.org/nexgent". credentials: a
    Login, a Token (or its text), or a TokenFrom.
    """

    def __init__(self, url: str, credentials: Credentials | str, *, timeout_seconds: float = 10.0) -> None:
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ValueError(f"url must begin with http:// or https://; it is {url!r}")
        if not urlsplit(url).hostname or "?" in url or "#" in url:
            raise ValueError(f"url must be a server's address, and a path at most; it is {url!r}")
        if not isinstance(credentials, str) and not hasattr(credentials, "access"):
            raise TypeError(
                f"credentials must be a Login, a Token or its text, or a TokenFrom; it is {credentials!r}"
            )
        self._url = url.rstrip("/")
        self._http = httpx.AsyncClient(base_url=f"{self._url}/api/", timeout=timeout_seconds)
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self.rest = Rest(self._http, Token(credentials) if isinstance(credentials, str) else credentials)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection, those of streams, too."""
        for stream in list(self._streams):
            await stream.close()
        await self._http.aclose()

    def follow(self, agent_id: str, *, watch: bool = False, compact: bool = True) -> Stream:
        """Return the agent's stream. It owns the agent, and ends whoever owned it before, unless it watches."""
        if not isinstance(agent_id, str) or not agent_id:
            raise ValueError(f"agent_id must be the id of an agent; it is {agent_id!r}")
        stream = Stream(self._url, self.rest, agent_id, watch=watch, compact=compact)
        self._streams.add(stream)
        return stream

    async def agents(self) -> list[dict[str, Any]]:
        """Return the user's agents: `id`, `name`, …, as /api/agents/ has them."""
        return [agent async for agent in self.rest.all("agents/")]

    async def open_position(
        self, *, wallet: str, token_address: str, key: str | None = None, **terms: Any
    ) -> Any:
        """Book a purchase that opens a position: `tokens`, `spentSol`, … as docs/bots.md has them."""
        body = {"wallet": wallet, "tokenAddress": token_address, **terms}
        return await self.rest.write("positions/", body, key=key)

    async def buy(self, position_id: str, *, key: str | None = None, **terms: Any) -> Any:
        return await self.rest.write(_path(position_id, "buy"), terms, key=key)

    async def take_profit(self, position_id: str, *, key: str | None = None, **terms: Any) -> Any:
        return await self.rest.write(_path(position_id, "take-profit"), terms, key=key)

    async def plan_take_profits(self, position_id: str, *, levels: int | None, key: str | None = None) -> Any:
        """Begin a plan of so many take-profit levels with the next sale; None removes the plan."""
        return await self.rest.write(_path(position_id, "take-profit-plan"), {"levels": levels}, key=key)

    async def move_stop_loss(
        self, position_id: str, *, percentage: Any, key: str | None = None, **terms: Any
    ) -> Any:
        """percentage: of the average cost, such as -20; None removes it. `note`: why."""
        body = {"percentage": percentage, **terms}
        return await self.rest.write(_path(position_id, "stop-loss"), body, key=key)

    async def close_position(self, position_id: str, *, key: str | None = None, **terms: Any) -> Any:
        """Book the sale of all that is left: `proceedsSol`, `reason`, `heldAmount`."""
        return await self.rest.write(_path(position_id, "close"), terms, key=key)


def _path(position_id: str, action: str) -> str:
    if not isinstance(position_id, str) or not position_id:
        raise ValueError(f"position_id must be the id of a position; it is {position_id!r}")
    return f"positions/{position_id}/{action}/"
