"""What holds for every view of this API, whatever REST_FRAMEWORK says in the settings of the project around it.

Classes of `positions.accounts`, which is built on this package, are named by their paths, as REST framework does.
"""

from __future__ import annotations

from typing import Any

from rest_framework.settings import DEFAULTS, IMPORT_STRINGS, APISettings
from rest_framework.views import APIView

_rules = APISettings(
    {
        "DEFAULT_AUTHENTICATION_CLASSES": ["positions.accounts.authentication.TokenAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": [
            "rest_framework.permissions.IsAuthenticated",
            "positions.accounts.scopes.TokenMayWrite",
        ],
        "DEFAULT_PARSER_CLASSES": ["positions.api.json.ExactJSONParser"],
        "DEFAULT_RENDERER_CLASSES": ["positions.api.json.ExactJSONRenderer"],
        "DEFAULT_THROTTLE_CLASSES": ["positions.accounts.request_rates.RequestThrottle"],
        "EXCEPTION_HANDLER": "positions.accounts.throttle.handle",
    },
    DEFAULTS,
    IMPORT_STRINGS,
)


class _Default:
    """A rule, looked up when a view needs it: its module may not be loaded yet."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        return getattr(_rules, self._name)


class Rules(APIView):
    """The base of every view. A view may have rules of its own."""

    settings = _rules
    authentication_classes = _Default("DEFAULT_AUTHENTICATION_CLASSES")
    permission_classes = _Default("DEFAULT_PERMISSION_CLASSES")
    parser_classes = _Default("DEFAULT_PARSER_CLASSES")
    renderer_classes = _Default("DEFAULT_RENDERER_CLASSES")
    throttle_classes = _Default("DEFAULT_THROTTLE_CLASSES")
    versioning_class = None
    metadata_class = None  # OPTIONS would ask for a serializer per method, and describe its snake_case
