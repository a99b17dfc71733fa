"""Read compose.yaml as Compose does: anchors merged, variables substituted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.live import ROOT


class Missing(Exception):
    """A variable that must be set is not. The message is compose.yaml's."""


def services(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the services with `${…}` replaced. Raises Missing."""
    read = yaml.safe_load((ROOT / "compose.yaml").read_text())
    filled: dict[str, Any] = _fill(read["services"], variables)
    return filled


def _fill(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_fill(each, variables) for each in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", lambda match: _variable(match, variables), value)
    return value


def _variable(match: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, text = match.groups()
    if value := variables.get(name):
        return value
    if kind == "?":
        raise Missing(f"{name}: {text}")
    return text or ""
