"""`/api/asyncapi.yaml`: the description of the socket, for the requested host."""

from __future__ import annotations

import functools
from typing import Any

import yaml
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from realtime.paths import NAMESPACE, SOCKET
from realtime.protocol.asyncapi import asyncapi


@require_safe
def asyncapi_yaml(request: HttpRequest) -> HttpResponse:
    """Return the document, naming the requested host. Public: it contains no data. No query."""
    text = _as_yaml(
        "wss" if request.is_secure() else "ws",
        request.get_host(),
        f"{reverse(f'{NAMESPACE}:dashboard')}{SOCKET}",
    )
    return HttpResponse(text, content_type="application/yaml")


# Bounded, since clients choose the host. PyYAML takes 50 ms.
@functools.lru_cache(maxsize=16)
def _as_yaml(scheme: str, host: str, path: str) -> str:
    return yaml.dump(
        asyncapi(scheme, host, path), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110
    )


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # repeat instead of using anchors, which people cannot read easily
