"""The keys of a script for many, of which several may name the same one."""

from __future__ import annotations

from typing import Any


class ScriptKeys(dict[str, int]):
    """Each once, by the number that the script knows it by."""

    def __init__(self, *keys: str) -> None:
        super().__init__((key, number) for number, key in enumerate(keys, start=1))

    def __missing__(self, key: str) -> Any:
        self[key] = number = len(self) + 1
        return number
