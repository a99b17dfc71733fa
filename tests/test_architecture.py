"""The packages know each other in one direction: nexgent → realtime → positions."""

from __future__ import annotations

import ast

import pytest

from tests.live import ROOT

MAY_IMPORT = {"positions": {"positions"}, "realtime": {"realtime", "positions"}}
OURS = {"positions", "realtime", "nexgent", "tests"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_imports_only_what_lies_below_it(package):
    wrong = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            wrong += [
                f"{path.relative_to(ROOT)}: {name}"
                for name in names
                if name.split(".")[0] in OURS - MAY_IMPORT[package]
            ]
    assert wrong == []
