"""The package of clients/javascript as a user has it: packed, installed into a project of its own, that one compiled.

Done once for these files, by whichever process comes first; npm packages are those of package-lock.json.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from testbed.processes import PATIENCE_SECONDS, ROOT

CLIENT = ROOT / "clients/javascript"
MODULES = CLIENT / "node_modules"
BUILT = MODULES / ".built"
"""Of each state of the files, a project; as node_modules, it is neither committed nor checked."""
PROGRAMS = ROOT / "tests/clients/javascript"
INPUTS = (
    *(CLIENT / name for name in ("package.json", "package-lock.json", "build.js", "README.md")),
    *sorted(CLIENT.glob("tsconfig*.json")),
    *sorted(CLIENT.glob("src/*.js")),
    *sorted((ROOT / "realtime/static/realtime").glob("*.js")),
    *sorted((ROOT / "tools/page").glob("*.d.ts")),
    *sorted(PROGRAMS.iterdir()),
    Path(__file__),
)
TSCONFIG = {
    "compilerOptions": {
        "strict": True, "exactOptionalPropertyTypes": True, "noUncheckedIndexedAccess": True, "skipLibCheck": False,
        "target": "ES2022", "module": "NodeNext", "jsx": "react-jsx", "types": ["node"],
        "rootDir": ".", "outDir": "built",
    },
    "include": ["*.ts", "*.tsx"],
}  # fmt: skip


def project() -> Path:
    """Return a project that has installed the package: in `built`, the programs of tests/clients/javascript and of the
    README; in `bundled`, what a browser loads.

    Skips the test where there is no node; with CI=true, fails it.
    """
    if missing := [name for name in ("node", "npm") if shutil.which(name) is None]:
        reason = f"NO {' AND NO '.join(missing).upper()}: clients/javascript was not tested."
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    key = hashlib.sha256(b"".join(path.read_bytes() for path in INPUTS)).hexdigest()[:16]
    folder = BUILT / key
    with (CLIENT / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            install(CLIENT)
            shutil.rmtree(BUILT, ignore_errors=True)
            _build(folder)
            (folder / "done").touch()
    return folder


def install(folder: Path) -> None:
    """Install the packages that package-lock.json names, unless they are there already."""
    wanted, installed = folder / "package-lock.json", folder / "node_modules/.package-lock.json"
    if not installed.exists() or not _has_all(_packages(installed), _packages(wanted)):
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=5")
        _run(folder, "npm", "ci", *options)


def _packages(lock: Path) -> dict[str, dict[str, Any]]:
    """Return the packages of a lock, but not the one that they are installed for."""
    packages: dict[str, dict[str, Any]] = json.loads(lock.read_text())["packages"]
    return {name: package for name, package in packages.items() if name}


def _has_all(installed: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]) -> bool:
    """Return whether these are the packages wanted. What is optional is left out where it is for another machine.

    By content, not by age: a check-out of the repository makes every file new.
    """
    needed = {name for name, package in wanted.items() if not package.get("optional")}
    return needed <= installed.keys() <= wanted.keys() and all(
        (package["version"], package["integrity"]) == (wanted[name]["version"], wanted[name]["integrity"])
        for name, package in installed.items()
    )


def _build(folder: Path) -> None:
    folder.mkdir(parents=True)
    packed = json.loads(_run(CLIENT, "npm", "pack", "--json", "--pack-destination", str(folder)))
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    _run(
        folder,
        "npm",
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--offline",
        packed[0]["filename"],
    )
    for name in (
        "react",
        "react-dom",
        "scheduler",
        "csstype",
        "ws",
        "@types",
        "undici-types",
    ):  # what else such a project has installed
        (folder / "node_modules" / name).symlink_to(MODULES / name)
    for program in PROGRAMS.iterdir():
        shutil.copy(program, folder)
    (folder / "readme.ts").write_text(_of_readme("ts"))
    (folder / "readme_app.tsx").write_text(_of_readme("tsx"))
    (folder / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    _run(folder, str(MODULES / ".bin/tsc"))
    _run(
        folder, str(MODULES / ".bin/esbuild"), "built/page.js", "--bundle", "--format=esm", "--outdir=bundled"
    )


def _of_readme(language: str) -> str:
    _, _, rest = (CLIENT / "README.md").read_text().partition(f"```{language}\n")
    return rest.partition("\n```\n")[0]


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=15 * PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
