"""The address of the client of a connection or a request, as the proxy tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from positions.accounts.logins import networks_of


def address_of(scope: Mapping[str, Any]) -> str:
    """Return the address; for IPv6 its /64 network, which is one host's."""
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return networks_of((scope.get("client") or ("",))[0], ",".join(forwarded))[-1]
