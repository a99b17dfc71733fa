"""What an address to listen on means to those who connect."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def as_in_url(host: str) -> str:
    """Return the host as written in a URL on this machine."""
    if host == "0.0.0.0":  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    if host == "::":  # uvicorn does not listen for IPv4 there
        return "[::1]"
    return f"[{host}]" if ":" in host else host
