"""`/api/asyncapi.yaml`: what the socket says of itself, for the host that was asked."""

from __future__ import annotations

import functools
from typing import Any

import yaml
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from realtime.protocol.asyncapi import asyncapi


@require_safe
def asyncapi_yaml(request: HttpRequest) -> HttpResponse:
    """Answer the document, with the server that was asked. Public: it tells nothing of anybody. No query."""
    text = _as_yaml("wss" if request.is_secure() else "ws", request.get_host())
    return HttpResponse(text, content_type="application/yaml")


@functools.lru_cache(
    maxsize=16
)  # by what a client names, hence bounded; PyYAML takes a twentieth of a second
def _as_yaml(scheme: str, host: str) -> str:
    return yaml.dump(asyncapi(scheme, host), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # what is said twice is written twice: anchors are for machines
