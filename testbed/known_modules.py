"""The modules that a server of this project loads, read once for all processes that are forked.

Each of them executes what it imports, in its own environment.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import re
import sys
import types
from collections.abc import Mapping
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from typing import Any

from testbed.processes import ROOT


def learned() -> dict[str, Any]:
    """Return what a server of this project loads that is not loaded here: its modules, and patterns that they compile.

    A child finds out: nothing of this project, and nothing that reads settings, is executed in this process.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as answer, contextlib.suppress(BaseException):
            json.dump(_loaded(), answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    learned: dict[str, Any] = json.loads(text or '{"modules": {}, "patterns": []}')
    return learned


def _loaded() -> dict[str, Any]:
    before, patterns, compile_pattern = set(sys.modules), [], re.compile

    def noted(pattern: Any, flags: Any = 0) -> Any:
        if isinstance(pattern, str):
            patterns.append((pattern, int(flags)))
        return compile_pattern(pattern, flags)

    re.compile = noted
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for name in [name for name in os.environ if name.startswith("NEXGENT_")]:
        del os.environ[name]
    os.environ.update(
        DJANGO_SETTINGS_MODULE="nexgent.settings",
        DATABASE_URL="sqlite:////none",
        NEXGENT_SECRET_KEY=32 * "none",
    )
    sys.path[0] = str(ROOT)
    importlib.import_module("nexgent.asgi")
    importlib.import_module("django.urls").get_resolver().reverse_dict  # noqa: B018  loads the views
    modules = {
        name: spec.origin
        for name, module in sys.modules.items()
        if name not in before
        and (spec := getattr(module, "__spec__", None)) is not None
        and type(spec.loader) is SourceFileLoader
    }
    return {"modules": modules, "patterns": patterns}


class KnownModules(MetaPathFinder):
    """Finds the modules that a server of this project loads, read once for all processes: 80 ms of each one's start."""

    def __init__(self, learned: Mapping[str, Any]) -> None:
        self._modules = {}
        for name, path in learned["modules"].items():
            loader = SourceFileLoader(name, path)
            self._modules[name] = _Compiled(name, path, loader.get_code(name), _version(path))
        for pattern, flags in learned["patterns"]:
            re.compile(pattern, flags)  # `re` keeps it

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        loader = self._modules.get(name)
        if loader is None or _version(loader.path) != loader.version:
            return None
        return importlib.util.spec_from_file_location(name, loader.path, loader=loader)


class _Compiled(SourceFileLoader):
    def __init__(self, name: str, path: str, code: types.CodeType | None, version: tuple[int, int]) -> None:
        super().__init__(name, path)
        self.version = version
        self._code = code

    def get_code(self, fullname: str) -> types.CodeType | None:
        return self._code


def _version(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  in a tenth of the time
    return status.st_mtime_ns, status.st_size
