"""The middleware that refuses sockets without TLS, where pages are redirected to HTTPS."""

from __future__ import annotations

from typing import Any

from asgiref.sync import markcoroutinefunction
from channels.security.websocket import WebsocketDenier
from django.conf import settings


class SecureTransport:
    """Refuses the handshake of a socket whose token could be read on its way (403), under the rule that pages have.

    A redirect would be no help: browsers follow none in a handshake.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    @markcoroutinefunction
    def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        if settings.SECURE_SSL_REDIRECT and not _is_secure(scope):
            return WebsocketDenier()(scope, receive, send)
        return self._application(scope, receive, send)


def _is_secure(scope: dict[str, Any]) -> bool:
    """Return what Django's `request.is_secure()` would: the proxy's header counts if there is a proxy, and sends it."""
    if settings.SECURE_PROXY_SSL_HEADER:
        variable, secure = settings.SECURE_PROXY_SSL_HEADER
        wanted = variable.removeprefix("HTTP_").replace("_", "-").lower().encode()
        values = [value for name, value in scope["headers"] if name == wanted]
        if values:
            return bool(b",".join(values).split(b",")[0].strip() == secure.encode())
    return bool(scope.get("scheme") == "wss")
