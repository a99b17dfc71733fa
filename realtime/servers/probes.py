"""Probes come by the address of a machine or a pod, which nobody lists among the allowed hosts.

What they ask for says nothing about hosts: they are answered whatever their `Host`, as `/metrics` is, which has a token
of its own. Everything else keeps Django's check.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

PATHS = {"health", "health/live", "health/ready", "metrics"}


def with_allowed_host(scope: dict[str, Any], own_path: str | None) -> dict[str, Any]:
    """Return the scope of a request; of a probe, with a host that is allowed."""
    if own_path not in PATHS:
        return scope
    names = (name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*")
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "headers": [*headers, (b"host", next(names, "localhost").encode())]}
