"""The servers that are compared, and how each is started."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from testbed.processes import ROOT, command

Way = Literal["ours", "floor", "tutorial", "seed", "limit"]


@dataclass(frozen=True, slots=True)
class Row:
    """One server as it would be run."""

    name: str
    """As `--rows` takes it."""
    title: str
    way: Way
    server: str
    """daphne, uvicorn, or the only one that there is of its way."""
    layer: str = ""
    """The channel layer's class, where the row is the tutorial way."""
    offers: Literal["", "compact", "deflate"] = ""
    """What its clients offer in their handshake: compact prices, or permessage-deflate."""
    on_uvloop: bool = False

    @property
    def makes_its_prices(self) -> bool:
        """Whether it sends on a timer of its own, started by a message, instead of reading a channel layer."""
        return self.way in {"floor", "seed", "limit"}

    def command(self, port: int) -> list[str]:
        application = {
            "ours": "nexgent.asgi:application",
            "floor": "benchmarks.servers.floor:application",
            "tutorial": "benchmarks.tutorial.consumers:application",
        }
        if self.way == "seed":
            return ["node", str(ROOT / "benchmarks/servers/seed.cjs"), str(port)]
        if self.way == "limit":
            return [sys.executable, "-m", "benchmarks.servers.limit", str(port)]
        return [*command(self.server, port)[:-1], application[self.way]]

    def environment(self) -> dict[str, str]:
        if self.way == "tutorial":
            return {"DJANGO_SETTINGS_MODULE": "benchmarks.tutorial.settings", "BENCHMARK_LAYER": self.layer}
        if self.way == "seed":
            return {"NODE_PATH": str(node_modules())}
        if self.on_uvloop:  # uvicorn takes it where it can be imported
            return {"PYTHONPATH": str(uvloop())}
        return {}


CORE, PUBSUB = "core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"
ROWS = (
    Row("ours-daphne", "this project, daphne", "ours", "daphne"),
    Row("ours-uvicorn", "this project, uvicorn", "ours", "uvicorn"),
    Row("compact-daphne", "this project, daphne, compact prices", "ours", "daphne", offers="compact"),
    Row("compact-uvicorn", "this project, uvicorn, compact prices", "ours", "uvicorn", offers="compact"),
    Row("deflate-uvicorn", "this project, uvicorn, permessage-deflate", "ours", "uvicorn", offers="deflate"),
    Row("uvloop", "this project, uvicorn on uvloop", "ours", "uvicorn", on_uvloop=True),
    Row("floor-daphne", "bare ASGI, daphne (the floor)", "floor", "daphne"),
    Row("floor-uvicorn", "bare ASGI, uvicorn (the floor)", "floor", "uvicorn"),
    Row("floor-uvloop", "bare ASGI, uvicorn on uvloop", "floor", "uvicorn", on_uvloop=True),
    Row("tutorial-core-daphne", "tutorial way, RedisChannelLayer, daphne", "tutorial", "daphne", CORE),
    Row(
        "tutorial-pubsub-daphne",
        "tutorial way, RedisPubSubChannelLayer, daphne",
        "tutorial",
        "daphne",
        PUBSUB,
    ),
    Row(
        "tutorial-pubsub-uvicorn",
        "tutorial way, RedisPubSubChannelLayer, uvicorn",
        "tutorial",
        "uvicorn",
        PUBSUB,
    ),
    Row("node-ws", "Node ws, as the seed's server", "seed", "node"),
    Row("picows", "bare picows (the limit)", "limit", "picows"),
)
BY_NAME = {row.name: row for row in ROWS}


class MissingError(Exception):
    """Something that a row needs is not installed. The message names it."""


@functools.cache
def node_modules() -> Path:
    """Return a folder with `ws` in it, installed for this run only. Raises MissingError."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise MissingError("node and npm are not installed")
    folder = Path(tempfile.mkdtemp(prefix="ws-"))
    installed = subprocess.run(
        ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", "ws@8"],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode != 0:
        raise MissingError(
            "npm could not install ws: " + (installed.stderr or installed.stdout).strip()[-200:]
        )
    return folder / "node_modules"


@functools.cache
def uvloop() -> Path:
    """Return a folder with uvloop in it, installed for this run only. Raises MissingError."""
    folder = Path(tempfile.mkdtemp(prefix="uvloop-"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    installed = subprocess.run(
        [*pip, "--target", str(folder), "uvloop"], capture_output=True, text=True, check=False
    )
    if installed.returncode != 0:
        raise MissingError(f"pip could not install uvloop: {installed.stderr.strip()[-200:]}")
    return folder


def versions() -> str:
    """Return the versions measured, in one line."""
    from importlib.metadata import version

    names = ("django", "channels", "channels-redis", "redis", "daphne", "uvicorn", "websockets", "picows")
    said = [f"{name} {version(name)}" for name in names]
    if shutil.which("node"):
        said.append(f"node {subprocess.check_output(['node', '--version'], text=True).strip().lstrip('v')}")
    return ", ".join(said)
