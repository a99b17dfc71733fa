"""One agent's stream: messages without end, through reconnects, each event once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from nexgent_client.errors import Ended, LoginRequired, ProtocolError
from nexgent_client.holdings import Holdings
from nexgent_client.messages import (
    Closing,
    Connected,
    Message,
    Ping,
    Reader,
    Refreshed,
    ServerError,
    Snapshot,
    Subscribed,
)
from nexgent_client.rest import Rest
from nexgent_client.versions import check_version
from nexgent_client.waits import Backoff

logger = logging.getLogger("nexgent_client")

COMPACT = "nexgent.compact.v1"
"""Prices in a third of the bytes."""
RENEW_AFTER = 2 / 3
"""Of a token's life on an open connection."""
REFUSED = "Authentication failed"
LOST = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, httpx.HTTPError)


class Stream:
    """Iterate over it for the server's messages; `holdings` is up to date with the last one.

    Raises Ended where the server says not to come back (a newer socket owns the agent, say), LoginRequired, and
    IncompatibleServer. Everything else is waited out. One owner of an agent in a program: a second one would end the
    first, so it raises RuntimeError at once; any number may watch.
    """

    _owned: ClassVar[set[tuple[str, str]]] = set()

    def __init__(self, url: str, rest: Rest, agent_id: str, *, watch: bool, compact: bool = True) -> None:
        self.agent_id = agent_id
        self.holdings = Holdings()
        self.connected = False
        """Whether messages come at this moment."""
        self._url, self._rest, self._watch, self._compact = url, rest, watch, compact
        self._epoch: str | None = None
        """Of the database that `holdings` is from."""
        self._socket: ClientConnection | None = None
        self._closed = asyncio.Event()
        self._owns = False

    async def __aiter__(self) -> AsyncGenerator[Message, None]:
        self._closed.clear()
        if not self._watch:
            key = (self._url, self.agent_id)
            if key in self._owned:
                raise RuntimeError(
                    f"this program follows agent {self.agent_id} already: watch it (watch=True)"
                )
            self._owned.add(key)
            self._owns = True
        try:
            async with contextlib.aclosing(self._without_end()) as messages:
                async for message in messages:
                    yield message
        finally:
            self._let_go()

    async def close(self) -> None:
        """End the connection, and the iteration with it, also while it waits for the server."""
        self._closed.set()
        self._let_go()
        if self._socket is not None:
            await self._socket.close()

    def _let_go(self) -> None:
        if self._owns:
            self._owns = False
            self._owned.discard((self._url, self.agent_id))

    async def _without_end(self) -> AsyncGenerator[Message, None]:
        backoff, was_refused, is_checked = Backoff(), False, False
        while True:
            closing: Closing | None = None
            try:
                if not is_checked:
                    await check_version(self._rest, watch=self._watch)
                    is_checked = True
                async with contextlib.aclosing(self._one_connection()) as messages:
                    async for message in messages:
                        if isinstance(message, Snapshot | Subscribed):
                            backoff.forget()
                            was_refused = False
                        if isinstance(message, Closing):
                            closing = message
                        yield message
            except LOST as error:
                logger.info("the connection to agent %s is lost: %s", self.agent_id, error)
            finally:
                self.connected, self._socket = False, None
            if self._closed.is_set():
                return
            if closing is None:
                wait = backoff.next_seconds()
            elif closing.reason == REFUSED and not was_refused:
                was_refused, wait = True, 0.0  # once more, with a new token
            elif not closing.reconnect:
                raise LoginRequired(REFUSED) if closing.reason == REFUSED else Ended(closing.reason)
            else:
                wait = closing.retry_after / 1000
                if closing.code != 1000:  # the server, or this client, has a problem
                    wait = backoff.next_seconds(wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), wait)
                return

    async def _one_connection(self) -> AsyncGenerator[Message, None]:
        token = await self._rest.token()
        async with connect(
            f"{self._url.replace('http', 'ws', 1)}/ws?{self._query()}",
            additional_headers={"Authorization": f"Bearer {token}"},
            subprotocols=[COMPACT] if self._compact else None,  # type: ignore[list-item]
            max_size=None,
        ) as socket:
            self._socket = socket
            if self._closed.is_set():
                return
            reader, epoch, refreshing = Reader(), None, None
            try:
                async for text in socket:
                    message = reader.read(text)
                    if message is None:
                        continue
                    if isinstance(message, Ping):
                        await socket.send(json.dumps({"type": "pong", "timestamp": message.timestamp}))
                        continue
                    if isinstance(message, Connected):
                        epoch = message.epoch
                    if isinstance(message, Snapshot) or (
                        isinstance(message, Subscribed) and message.recovered
                    ):
                        self._epoch, self.connected = epoch, True
                    if isinstance(message, Connected | Refreshed):
                        if refreshing is not None:
                            refreshing.cancel()
                        refreshing = asyncio.create_task(self._refresh(socket, message.token_expires_at))
                    if isinstance(message, ServerError) and message.code == "authentication_failed":
                        self._rest.refused(token)
                    self._check_order(message)
                    self.holdings.take(message)
                    yield message
            finally:
                if refreshing is not None:
                    refreshing.cancel()

    def _query(self) -> str:
        query = {"agentId": self.agent_id}
        if self._watch:
            query["mode"] = "watch"
        if self.holdings.seq is not None:
            query["lastSeq"] = str(self.holdings.seq)
            if self._epoch is not None:
                query["epoch"] = self._epoch
        return urlencode(query)

    def _check_order(self, message: Message) -> None:
        """The server promises each event once and in order. Where that fails, nothing here may hide it."""
        seq, last = getattr(message, "seq", None), self.holdings.seq
        is_event = not isinstance(message, Snapshot | Subscribed)
        if is_event and seq is not None and last is not None and seq != last + 1:
            raise ProtocolError(f"event {seq} came after event {last}")

    async def _refresh(self, socket: ClientConnection, expires_at: datetime) -> None:
        left = (expires_at - datetime.now(UTC)).total_seconds()
        await asyncio.sleep(max(0.0, left * RENEW_AFTER))
        backoff = Backoff()
        while True:
            try:
                token = await self._rest.token(seconds=left * (1 - RENEW_AFTER) + 1)
                await socket.send(json.dumps({"type": "refresh", "data": {"token": token}}))
                return
            except LoginRequired as error:
                logger.warning("the token of agent %s's stream cannot be renewed: %s", self.agent_id, error)
                return
            except LOST:
                await asyncio.sleep(backoff.next_seconds())
