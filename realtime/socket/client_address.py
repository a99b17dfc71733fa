"""The address of the client of a connection or a request, as the proxy tells it, and that of the other end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from positions.accounts.logins import networks_of


def address_of(scope: Mapping[str, Any]) -> str:
    """Return the address; for IPv6 its /64 network, which is one host's."""
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return networks_of(peer_of(scope), ",".join(forwarded))[-1]


def peer_of(scope: Mapping[str, Any]) -> str:
    """Return the address at the other end, the client's or a proxy's; "" where there is none (a Unix socket)."""
    address: str = (scope.get("client") or ("",))[0]
    return address
