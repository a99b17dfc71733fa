"""The same without `async`, for scripts: a thread of its own runs the event loop.

with Nexgent("http://127.0.0.1:4000", token) as nexgent:
    for message in nexgent.follow(agent_id, watch=True): ...
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from nexgent_client import client, stream
from nexgent_client.holdings import Holdings
from nexgent_client.messages import Message
from nexgent_client.tokens import Credentials

T = TypeVar("T")


class Stream:
    """Iterate over it for the messages of one agent; `holdings` is up to date with the last one."""

    def __init__(self, nexgent: Nexgent, followed: stream.Stream) -> None:
        self._nexgent, self._stream = nexgent, followed

    @property
    def holdings(self) -> Holdings:
        return self._stream.holdings

    def __iter__(self) -> Iterator[Message]:
        messages = self._stream.__aiter__()
        try:
            while True:
                try:
                    yield self._nexgent.wait(anext(messages))
                except StopAsyncIteration:
                    return
        finally:
            if not self._nexgent.is_closed:
                self._nexgent.wait(messages.aclose())


class Nexgent:
    """As `nexgent_client.Nexgent`. Its methods wait for the answer."""

    def __init__(self, url: str, credentials: Credentials | str, *, timeout_seconds: float = 10.0) -> None:
        if _a_loop_runs():
            raise RuntimeError(
                "an event loop runs here: use nexgent_client.Nexgent, not that of nexgent_client.sync"
            )
        self._client = client.Nexgent(url, credentials, timeout_seconds=timeout_seconds)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nexgent-client", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every stream, then the rest. Once more does nothing."""
        if self.is_closed:
            return
        self.wait(self._loop.shutdown_asyncgens())
        self.wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def is_closed(self) -> bool:
        return self._loop.is_closed()

    def wait(self, work: Awaitable[T]) -> T:
        """Run a coroutine of this client to its end."""
        return asyncio.run_coroutine_threadsafe(_as_coroutine(work), self._loop).result()

    def follow(self, agent_id: str, *, watch: bool = False, compact: bool = True) -> Stream:
        return Stream(self, self._client.follow(agent_id, watch=watch, compact=compact))

    def agents(self) -> list[dict[str, Any]]:
        return self.wait(self._client.agents())

    def get(self, path: str, **parameters: Any) -> Any:
        return self.wait(self._client.rest.get(path, **parameters))

    def write(self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
        return self.wait(self._client.rest.write(path, body, key=key))

    def open_position(self, **terms: Any) -> Any:
        return self.wait(self._client.open_position(**terms))

    def buy(self, position_id: str, **terms: Any) -> Any:
        return self.wait(self._client.buy(position_id, **terms))

    def take_profit(self, position_id: str, **terms: Any) -> Any:
        return self.wait(self._client.take_profit(position_id, **terms))

    def plan_take_profits(self, position_id: str, **terms: Any) -> Any:
        return self.wait(self._client.plan_take_profits(position_id, **terms))

    def move_stop_loss(self, position_id: str, **terms: Any) -> Any:
        return self.wait(self._client.move_stop_loss(position_id, **terms))

    def close_position(self, position_id: str, **terms: Any) -> Any:
        return self.wait(self._client.close_position(position_id, **terms))


def _a_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _as_coroutine(work: Awaitable[T]) -> T:
    return await work
