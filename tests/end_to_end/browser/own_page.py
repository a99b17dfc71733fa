"""This project with a page of somebody else beside its own: the one of docs/building-on-it.md."""

from __future__ import annotations

from typing import Any

from nexgent.asgi import application as project
from tests.documents import blocks

[PAGE] = blocks("docs/building-on-it.md", "html")
PATH = "/one-agent"


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http" or scope["path"] != PATH:
        await project(scope, receive, send)
        return
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    # Here `realtime.urls` are at the root.
    body = PAGE.text.replace('data-base="/desk/"', 'data-base="/"').encode()
    await send({"type": "http.response.body", "body": body})
