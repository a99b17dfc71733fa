"""What a token may do: everything that its user may, or read only."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework_simplejwt.tokens import Token

CLAIM = "scope"
READ = "read"


class TokenMayWrite(BasePermission):
    """Allows reads, and writes with a token that has no scope: an unknown scope allows less, not more."""

    def has_permission(self, request: Request, view: Any) -> bool:
        scope = request.auth.get(CLAIM) if isinstance(request.auth, Token) else None
        if scope is not None and request.method not in SAFE_METHODS:
            raise PermissionDenied(f'This token has the scope "{scope}": it may read and watch, not write.')
        return True
